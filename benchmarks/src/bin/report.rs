//! Measurements on standard input, rows of the table of `./bench` on standard output.
//!
//! `report PART` prints the rows of a part, cells separated by tabs; `report heading` the line
//! above them; `report table` prints such lines as columns for people.

use std::error::Error;
use std::io::{self, Read};
use std::process::ExitCode;

use benchmarks::report::rows;
use benchmarks::table::{HEADING, columns};
use wire::chain::chain;

const USAGE: &str = "usage: report PART|heading|table";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("report: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(part), None) = (words.next(), words.next()) else {
        return Err(USAGE.into());
    };
    if part == "heading" {
        println!("{HEADING}");
        return Ok(());
    }
    let mut text = String::new();
    io::stdin().read_to_string(&mut text)?;
    if part == "table" {
        print!("{}", columns(&text));
        return Ok(());
    }
    for row in rows(&part, &text)? {
        println!("{row}");
    }
    Ok(())
}
