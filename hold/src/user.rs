//! A user by name: what `/etc/passwd` and `/etc/group` say (passwd(5), group(5)). Not by way of
//! name services: a static program has none, and a daemon that has to start before the network
//! cannot wait for one.

use std::fs;
use std::io;
use std::path::Path;

use sys::handover::Identity;

/// A user of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// As it was asked for.
    pub name: String,
    /// Its numbers.
    pub identity: Identity,
    /// `HOME`.
    pub home: String,
}

/// Looks up `name` below `root`; `None` when there is no such user.
///
/// # Errors
/// Reading a file; one of groups that is missing is an empty one.
pub fn find(root: &Path, name: &str) -> io::Result<Option<User>> {
    let users = fs::read_to_string(root.join("etc/passwd"))?;
    let groups = match fs::read_to_string(root.join("etc/group")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        groups => groups?,
    };
    Ok(look(&users, &groups, name))
}

fn look(users: &str, groups: &str, name: &str) -> Option<User> {
    let mut lines = users.lines().map(fields);
    let user = lines.find(|user| user.first() == Some(&name))?;
    let number = |at: usize| user.get(at)?.parse::<u32>().ok();
    let (uid, gid) = (number(2)?, number(3)?);
    let home = user.get(5).filter(|home| !home.is_empty()).unwrap_or(&"/");
    let is_member = |group: &[&str]| {
        let members = group.get(3).copied().unwrap_or_default();
        members.split(',').any(|member| member == name)
    };
    let groups = groups.lines().map(fields);
    let groups = groups.filter(|group| is_member(group));
    let mut groups: Vec<u32> = groups
        .filter_map(|group| group.get(2)?.parse().ok())
        .collect();
    groups.insert(0, gid);
    groups.dedup();
    Some(User {
        name: name.to_owned(),
        identity: Identity { uid, gid, groups },
        home: (*home).to_owned(),
    })
}

fn fields(line: &str) -> Vec<&str> {
    line.split(':').collect()
}

#[cfg(test)]
mod tests {
    use super::{find, look};
    use std::path::Path;

    const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nd:x:101:102::/var/d:/bin/false\nbad:x:a:1\n\
                         homeless:x:7:8:::\n";
    const GROUPS: &str = "root:x:0:\nd:x:102:d\nkvm:x:36:x,d\ndisk:x:6:dd,x\nkvmd:x:37:\n";

    #[test]
    fn a_user_has_the_groups_that_name_it() {
        let user = look(USERS, GROUPS, "d").unwrap();
        assert_eq!((user.identity.uid, user.identity.gid), (101, 102));
        assert_eq!(user.identity.groups, [102, 36]);
        assert_eq!(user.home, "/var/d");
        let user = look(USERS, "", "homeless").unwrap();
        assert_eq!((user.home.as_str(), user.identity.groups), ("/", vec![8]));
    }

    #[test]
    fn what_is_no_user_is_not_found() {
        for name in ["", "x", "bad", "kvm", "roo", "root:x"] {
            assert_eq!(look(USERS, GROUPS, name), None, "{name}");
        }
        assert!(find(Path::new("/"), "root").unwrap().is_some());
        assert!(find(Path::new("/nonexistent"), "root").is_err());
    }
}
