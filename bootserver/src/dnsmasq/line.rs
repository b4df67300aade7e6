//! One line of dnsmasq's log in (version 2.80 or later, `--log-dhcp`), what a person should know of
//! it out.
//!
//! The words are dnsmasq's, what stands between them may be a machine's: a line that is not as
//! expected says nothing.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::event::{Client, Event, Way};

/// A machine that asks again within so long has only not heard the answer.
const SAME: Duration = Duration::from_secs(30);
/// Machines that are remembered.
const MACHINES_MAX: usize = 1024;

/// The meaning of a line of dnsmasq's log.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// Nothing for a person.
    Nothing,
    /// This server answers from now on.
    Ready,
    /// An event to show.
    Event(Event),
}

/// Reads line after line: who asks stands in the lines before the one that says what is done about
/// it.
#[derive(Debug)]
pub struct Reader {
    /// Of every file that is served.
    prefix: String,
    /// The transaction that the lines are about, and who began it.
    transaction: String,
    client: Option<Client>,
    asked: BTreeMap<String, (Client, Instant)>,
}

impl Reader {
    /// Knows a file by its path beneath `prefix`.
    #[must_use]
    pub fn new(prefix: String) -> Self {
        Self {
            prefix,
            transaction: String::new(),
            client: None,
            asked: BTreeMap::new(),
        }
    }

    /// The next line.
    pub fn read(&mut self, line: &str) -> Said {
        let Some((program, text)) = line.split_once(": ") else {
            return Said::Nothing;
        };
        match program {
            "dnsmasq-tftp" if text.starts_with("TFTP root is ") => Said::Ready,
            "dnsmasq-dhcp" if text.starts_with("DHCP, sockets bound ") => Said::Ready,
            "dnsmasq-tftp" => self
                .transfer(text.trim_end())
                .map_or(Said::Nothing, Said::Event),
            "dnsmasq-dhcp" => self
                .exchange(text.trim_end())
                .map_or(Said::Nothing, Said::Event),
            _ => Said::Nothing,
        }
    }

    fn transfer(&self, text: &str) -> Option<Event> {
        let way = Way::Tftp;
        let (file, address) = if let Some(rest) = text.strip_prefix("sent ") {
            let (file, address) = self.file_and_address(rest, " to ")?;
            return Some(Event::Sent { address, file, way });
        } else if let Some(rest) = text.strip_prefix("failed sending ") {
            let (file, address) = self.file_and_address(rest, " to ")?;
            return Some(Event::Broken { address, file, way });
        } else {
            let rest = text.strip_prefix("file ")?;
            self.file_and_address(rest, " not found for ")?
        };
        // GRUB looks for menus of single machines and for lists of modules that its image holds
        // already; a signed first stage, for what its maker has revoked.
        let name = file.rsplit('/').next().unwrap_or_default();
        let is_of_grub = name.starts_with("grub.cfg-")
            || name.ends_with(".lst")
            || file.ends_with("x86_64-efi/grub.cfg");
        let is_of_first_stage =
            name.starts_with("revocations_") || name.starts_with("shim_certificate_");
        let is_optional = is_of_grub || is_of_first_stage;
        (!is_optional).then_some(Event::Missing { address, file, way })
    }

    fn file_and_address(&self, text: &str, between: &str) -> Option<(String, Ipv4Addr)> {
        let (path, address) = text.rsplit_once(between)?;
        let file = path.strip_prefix(&self.prefix).unwrap_or(path);
        Some((file.to_owned(), address.parse().ok()?))
    }

    fn exchange(&mut self, text: &str) -> Option<Event> {
        let (transaction, text) = text.split_once(' ')?;
        if transaction.is_empty() || !transaction.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        if self.transaction != transaction {
            self.transaction = transaction.to_owned();
            self.client = None;
        }
        if let Some(class) = text.strip_prefix("vendor class: ") {
            self.client = client(class);
            return None;
        }
        if text == "user class: iPXE" && self.client.is_some() {
            self.client = Some(Client::Ipxe);
            return None;
        }
        let mut words = text.split(' ');
        let act = words.next()?.split('(').next()?;
        match act {
            "DHCPDISCOVER" | "PXE" => {
                let mac = words.find(|word| is_mac(word))?;
                let client = self.client?;
                self.is_new(mac, client).then(|| Event::Asked {
                    mac: mac.to_owned(),
                    client,
                })
            }
            "DHCPACK" => {
                let address = words.next()?.parse().ok()?;
                let mac = words.next().filter(|word| is_mac(word))?.to_owned();
                Some(Event::Addressed { mac, address })
            }
            _ => None,
        }
    }

    fn is_new(&mut self, mac: &str, client: Client) -> bool {
        let now = Instant::now();
        if self.asked.len() >= MACHINES_MAX {
            self.asked.clear();
        }
        match self.asked.insert(mac.to_owned(), (client, now)) {
            Some((before, at)) => before != client || now.duration_since(at) > SAME,
            None => true,
        }
    }
}

/// `PXEClient:Arch:00007:UNDI:003000` (PXE 2.1, 2.4.1), or the same of HTTP boot. An operating
/// system says something else.
fn client(class: &str) -> Option<Client> {
    let mut parts = class.split(':');
    if !matches!(parts.next()?, "PXEClient" | "HTTPClient") {
        return None;
    }
    if parts.next()? != "Arch" {
        return None;
    }
    Some(match parts.next()?.parse().ok()? {
        0 => Client::Bios,
        7 | 9 => Client::Uefi,
        16 => Client::UefiHttp,
        other => Client::Foreign(other),
    })
}

fn is_mac(word: &str) -> bool {
    word.len() == 17
        && word
            .split(':')
            .all(|hex| hex.len() == 2 && hex.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests {
    use super::{Reader, Said};

    fn told(lines: &str) -> Vec<String> {
        let mut reader = Reader::new("/run/x/files/".into());
        let said = lines.lines().map(|line| reader.read(line));
        said.filter_map(|said| match said {
            Said::Nothing => None,
            Said::Ready => Some("ready".to_owned()),
            Said::Event(event) => Some(event.to_string()),
        })
        .collect()
    }

    /// Lines of dnsmasq 2.90, as a machine with OVMF made it write them.
    const UEFI: &str = "\
dnsmasq: started, version 2.90 DNS disabled
dnsmasq-dhcp: DHCP, IP range 10.9.0.10 -- 10.9.0.99, lease time 1h
dnsmasq-dhcp: DHCP, sockets bound exclusively to interface br0
dnsmasq-tftp: TFTP root is /run/x/files  
dnsmasq-dhcp: 2999476058 available DHCP range: 10.9.0.10 -- 10.9.0.99
dnsmasq-dhcp: 2999476058 vendor class: PXEClient:Arch:00007:UNDI:003000
dnsmasq-dhcp: 2999476058 DHCPDISCOVER(br0) 52:54:00:09:00:01 
dnsmasq-dhcp: 2999476058 tags: uefi, br0
dnsmasq-dhcp: 2999476058 DHCPOFFER(br0) 10.9.0.10 52:54:00:09:00:01 
dnsmasq-dhcp: 2999476058 vendor class: PXEClient:Arch:00007:UNDI:003000
dnsmasq-dhcp: 2999476058 DHCPREQUEST(br0) 10.9.0.10 52:54:00:09:00:01 
dnsmasq-dhcp: 2999476058 DHCPACK(br0) 10.9.0.10 52:54:00:09:00:01 
dnsmasq-tftp: error 8 User aborted the transfer received from 10.9.0.10
dnsmasq-tftp: sent /run/x/files/grub-uefi.efi to 10.9.0.10
dnsmasq-tftp: file /run/x/files/grub.cfg-0A09000A not found for 10.9.0.10
dnsmasq-tftp: file /run/x/files/x86_64-efi/command.lst not found for 10.9.0.10
dnsmasq-tftp: file /run/x/files/revocations_sbat.efi not found for 10.9.0.10
dnsmasq-tftp: file /run/x/files/shim_certificate_0.efi not found for 10.9.0.10
dnsmasq-tftp: file /run/x/files/grub/x86_64-efi/grub.cfg not found for 10.9.0.10
dnsmasq-tftp: file /run/x/files/pxelinux.0 not found for 10.9.0.10
dnsmasq-dhcp: 1764140506 DHCPDISCOVER(br0) 52:54:00:09:00:01 
dnsmasq-dhcp: 1764140506 DHCPACK(br0) 10.9.0.10 52:54:00:09:00:01 myhost
";

    #[test]
    fn a_whole_boot_becomes_a_few_lines() {
        assert_eq!(
            told(UEFI),
            [
                "ready",
                "ready",
                "52:54:00:09:00:01 asks what to boot (UEFI)",
                "52:54:00:09:00:01 has the address 10.9.0.10",
                "10.9.0.10 got grub-uefi.efi (TFTP)",
                "10.9.0.10 asked for pxelinux.0, which is not served (TFTP)",
                "52:54:00:09:00:01 has the address 10.9.0.10",
            ]
        );
    }

    #[test]
    fn a_proxy_tells_who_asks_once() {
        let lines = "\
dnsmasq-dhcp: 1575685982 vendor class: PXEClient:Arch:00000:UNDI:002001
dnsmasq-dhcp: 1575685982 user class: iPXE
dnsmasq-dhcp: 1575685982 PXE(br0) 52:54:00:09:00:01 proxy
dnsmasq-dhcp: 1575685982 vendor class: PXEClient:Arch:00000:UNDI:002001
dnsmasq-dhcp: 1575685982 user class: iPXE
dnsmasq-dhcp: 1575685982 PXE(br0) 52:54:00:09:00:01 proxy
dnsmasq-dhcp: 0 vendor class: PXEClient
dnsmasq-dhcp: 0 user class: iPXE
dnsmasq-dhcp: 0 PXE(br0) 10.9.0.10 52:54:00:09:00:01 boot.ipxe
";
        assert_eq!(told(lines), ["52:54:00:09:00:01 asks what to boot (iPXE)"]);
    }

    #[test]
    fn another_processor_is_recognised() {
        let lines = "\
dnsmasq-dhcp: 1 vendor class: PXEClient:Arch:00011:UNDI:003000
dnsmasq-dhcp: 1 DHCPDISCOVER(br0) 52:54:00:09:00:01 
";
        let told = told(lines);
        assert!(told[0].contains("architecture 11"), "{told:?}");
    }

    #[test]
    fn lines_that_are_not_as_expected_say_nothing() {
        for line in [
            "",
            "dnsmasq-tftp",
            "dnsmasq-tftp: ",
            "dnsmasq-tftp: sent",
            "dnsmasq-tftp: sent /run/x/files/a to nowhere",
            "dnsmasq-tftp: file x not found for 10.9.0.300",
            "dnsmasq-dhcp: 1 DHCPACK(br0) 10.9.0.10",
            "dnsmasq-dhcp: 1 DHCPACK(br0) x 52:54:00:09:00:01",
            "dnsmasq-dhcp: x DHCPACK(br0) 10.9.0.10 52:54:00:09:00:01",
            "dnsmasq-dhcp: 1 DHCPDISCOVER(br0) 52:54:00:09:00:0x",
            "dnsmasq-dhcp: 1 vendor class: PXEClient:Arch:",
            "dnsmasq-dhcp: 1 vendor class: PXEClient:Arch:99999999999",
            "other: sent /run/x/files/a to 10.9.0.1",
        ] {
            assert_eq!(told(line), [""; 0], "{line}");
        }
        for end in 0..UEFI.len() {
            let _ = told(UEFI.get(..end).unwrap_or_default());
        }
    }
}
