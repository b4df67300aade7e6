//! The gates of this node: what is asked of init, programs, file systems, cards and the daemon.

use std::path::PathBuf;

use super::answer::{self, Url};
use super::network::{Network, Sources};
use super::{Failure, Gate, Gates, programs, started, state};

/// What a node is asked, and where.
#[derive(Clone, Debug)]
pub struct NodeGates {
    /// `/`.
    pub root: PathBuf,
    /// Of health programs, by rank.
    pub programs: Vec<PathBuf>,
    /// On the state partition.
    pub state: PathBuf,
    /// What the good slot had; `None` when nobody wrote it down.
    pub network: Option<Network>,
    /// Where this kernel says what there is.
    pub sources: Sources,
    /// Of the daemon; `None`: this node has none.
    pub daemon: Option<Url>,
}

impl Gates for NodeGates {
    fn look(&mut self, gate: Gate) -> Result<(), Failure> {
        match gate {
            Gate::Started => started::must_have_started(&self.root)?,
            Gate::Programs => programs::run_all(&self.programs, programs::LIMIT)?,
            Gate::State => state::must_be_writable(&self.state)?,
            Gate::Network => {
                if let Some(was) = &self.network {
                    was.must_be_in(&Network::look(&self.sources))?;
                }
            }
            Gate::Daemon => {
                if let Some(url) = &self.daemon {
                    answer::must_answer(url, answer::LIMIT)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::NodeGates;
    use crate::health::network::{Network, Sources};
    use crate::health::{Gate, Gates};
    use std::fs;
    use std::net::TcpListener;

    #[test]
    fn a_node_in_a_directory_passes_its_gates_and_each_can_fail() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("state")).unwrap();
        let mut node = NodeGates {
            root: path("."),
            programs: vec![path("health.d")],
            state: path("state"),
            network: None,
            sources: Sources {
                class: path("class"),
                proc: path("proc"),
            },
            daemon: None,
        };
        for gate in Gate::ALL {
            node.look(gate).unwrap();
        }
        fs::create_dir_all(path("run/openrc/starting")).unwrap();
        fs::create_dir(path("health.d")).unwrap();
        fs::write(path("health.d/10-a"), "x").unwrap();
        fs::remove_dir(path("state")).unwrap();
        node.network = Network::parse("smechvisor-network 1\ncard a 4\nend\n");
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr();
        node.daemon = Some(format!("http://{}/", nobody.unwrap()).parse().unwrap());
        for gate in Gate::ALL {
            assert!(node.look(gate).is_err(), "{gate}");
        }
    }
}
