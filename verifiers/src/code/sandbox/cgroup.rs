//! Limits for all processes of a case together, where the kernel's control groups are writable.
//!
//! Each case gets fresh groups, so that counters start at zero and what one case leaves behind is never charged to the
//! next. The program's process moves itself into them through a descriptor that was opened here. Both versions of the
//! interface are files: version 1 has a tree for each controller, version 2 one tree for all.

use std::fs::{self, File, OpenOptions};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where groups can be made.
#[derive(Clone, Debug)]
pub(crate) enum Hierarchy {
    /// One folder a controller: memory, pids, and cpu if there is one.
    V1 { memory: PathBuf, pids: PathBuf, cpu: Option<PathBuf> },
    /// One folder for all.
    V2 { parent: PathBuf },
}

/// What a group may use.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Allowance {
    /// Memory of all processes, in units of 2^20 bytes; none of it swapped out.
    pub(crate) memory_mb: u64,
    /// Processes and threads at once.
    pub(crate) pids: u64,
    /// Cores at once.
    pub(crate) cores: f64,
}

/// The groups of one case; removed on drop, or when their last process has gone.
#[derive(Debug)]
pub(crate) struct Group {
    folders: Vec<PathBuf>,
    oom_file: PathBuf,
}

const PERIOD_US: u64 = 100_000;
const BYTES_PER_MB: u64 = 1 << 20;

impl Hierarchy {
    /// Finds a place where this process may make groups; the error says why there is none.
    pub(crate) fn find() -> Result<Self, String> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").map_err(|e| e.to_string())?;
        let own = fs::read_to_string("/proc/self/cgroup").map_err(|e| e.to_string())?;
        let found = Self::v1(&mounts, &own).or_else(|| Self::v2(&mounts, &own)).ok_or_else(|| {
            "no control group with `memory` and `pids` can be written; run as root, or give this user a delegated \
             group (`systemd-run --user --scope -p Delegate=yes …`)"
                .to_owned()
        })?;
        found.remove_stale();
        let trial = found.group(Allowance { memory_mb: 64, pids: 8, cores: 1.0 });
        trial.map(|_| found).map_err(|error| format!("a control group cannot be made: {error}"))
    }

    fn v1(mounts: &str, own: &str) -> Option<Self> {
        let folder = |controller: &str| {
            let mount = mount_points(mounts, "cgroup").find(|(_, options)| options.contains(&controller))?.0;
            let path = own.lines().find_map(|line| {
                let mut parts = line.splitn(3, ':').skip(1);
                parts.next()?.split(',').any(|name| name == controller).then(|| parts.next())?
            })?;
            [mount.join(path.trim_start_matches('/')), mount].into_iter().find(|folder| is_writable(folder))
        };
        Some(Self::V1 { memory: folder("memory")?, pids: folder("pids")?, cpu: folder("cpu") })
    }

    /// A group with processes of its own cannot pass controllers on, hence the nearest ancestor that does.
    fn v2(mounts: &str, own: &str) -> Option<Self> {
        let mount = mount_points(mounts, "cgroup2").next()?.0;
        let path = own.lines().find_map(|line| line.strip_prefix("0::"))?;
        let folder = mount.join(path.trim_start_matches('/'));
        let candidates = folder.ancestors().take_while(|ancestor| ancestor.starts_with(&mount));
        let passes_on = |ancestor: &Path| {
            let control = fs::read_to_string(ancestor.join("cgroup.subtree_control")).unwrap_or_default();
            ["memory", "pids"].iter().all(|name| control.split_whitespace().any(|known| known == *name))
        };
        let parent = candidates.into_iter().find(|ancestor| passes_on(ancestor) && is_writable(ancestor))?;
        Some(Self::V2 { parent: parent.to_owned() })
    }

    /// Names the layer.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::V1 { .. } => "cgroup v1",
            Self::V2 { .. } => "cgroup v2",
        }
    }

    /// Makes fresh groups.
    pub(crate) fn group(&self, allowance: Allowance) -> std::io::Result<Group> {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let name = format!("rlvr-{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let memory = (allowance.memory_mb * BYTES_PER_MB).to_string();
        let quota = (allowance.cores * PERIOD_US as f64) as u64;
        match self {
            Self::V1 { memory: memory_tree, pids, cpu } => {
                let folder = memory_tree.join(&name);
                let mut group = Group { folders: vec![], oom_file: folder.join("memory.oom_control") };
                group.add(folder.clone())?;
                fs::write(folder.join("memory.limit_in_bytes"), &memory)?;
                // Without swap accounting there is no such file; then nothing may be swapped out at all.
                let _ = fs::write(folder.join("memory.memsw.limit_in_bytes"), &memory)
                    .or_else(|_| fs::write(folder.join("memory.swappiness"), "0"));
                let folder = pids.join(&name);
                group.add(folder.clone())?;
                fs::write(folder.join("pids.max"), allowance.pids.to_string())?;
                if let Some(cpu) = cpu {
                    let folder = cpu.join(&name);
                    group.add(folder.clone())?;
                    let _ = fs::write(folder.join("cpu.cfs_quota_us"), quota.to_string());
                }
                Ok(group)
            }
            Self::V2 { parent } => {
                let folder = parent.join(&name);
                let mut group = Group { folders: vec![], oom_file: folder.join("memory.events") };
                group.add(folder.clone())?;
                fs::write(folder.join("memory.max"), &memory)?;
                let _ = fs::write(folder.join("memory.swap.max"), "0");
                fs::write(folder.join("pids.max"), allowance.pids.to_string())?;
                let _ = fs::write(folder.join("cpu.max"), format!("{quota} {PERIOD_US}"));
                Ok(group)
            }
        }
    }

    /// Removes the groups that a process left behind which was killed.
    fn remove_stale(&self) {
        let folders: Vec<&PathBuf> = match self {
            Self::V1 { memory, pids, cpu } => [memory, pids].into_iter().chain(cpu).collect(),
            Self::V2 { parent } => vec![parent],
        };
        for entry in folders.into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let owner = name.strip_prefix("rlvr-").and_then(|rest| rest.split('-').next());
            if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
                let _ = fs::remove_dir(entry.path());
            }
        }
    }
}

impl Group {
    fn add(&mut self, folder: PathBuf) -> std::io::Result<()> {
        fs::create_dir(&folder)?;
        self.folders.push(folder);
        Ok(())
    }

    /// Opens the files through which a process joins.
    pub(crate) fn doors(&self) -> std::io::Result<Vec<OwnedFd>> {
        let open = |folder: &PathBuf| -> std::io::Result<File> {
            OpenOptions::new().write(true).open(folder.join("cgroup.procs"))
        };
        self.folders.iter().map(|folder| open(folder).map(OwnedFd::from)).collect()
    }

    /// Returns how many processes the kernel has killed for memory.
    ///
    /// A program can hide such a death from whoever looks at exit codes: it may have been that of a child.
    pub(crate) fn n_oom_kills(&self) -> u64 {
        let text = fs::read_to_string(&self.oom_file).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
    }

    /// Kills whatever is still in the groups; for sandboxes that have no pid namespace to do so.
    pub(crate) fn kill(&self) {
        for folder in &self.folders {
            let processes = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            for pid in processes.lines().filter_map(|line| line.parse().ok()).filter_map(rustix::process::Pid::from_raw)
            {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }

    /// Removes the groups; false if a process is still there.
    pub(crate) fn remove(&mut self) -> bool {
        self.folders.retain(|folder| fs::remove_dir(folder).is_err() && folder.exists());
        self.folders.is_empty()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.remove();
    }
}

/// The mount points of a file system type, with its options.
fn mount_points<'a>(mounts: &'a str, kind: &'a str) -> impl Iterator<Item = (PathBuf, Vec<&'a str>)> {
    mounts.lines().filter_map(move |line| {
        let (place, system) = line.split_once(" - ")?;
        let mut system = system.split(' ');
        if system.next()? != kind {
            return None;
        }
        let options = system.nth(1)?.split(',').collect();
        Some((PathBuf::from(place.split(' ').nth(4)?), options))
    })
}

fn is_writable(folder: &Path) -> bool {
    rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read() {
        let mounts = "25 30 0:22 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory\n\
                      26 30 0:23 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let v1: Vec<_> = mount_points(mounts, "cgroup").collect();
        assert_eq!(v1, [(PathBuf::from("/sys/fs/cgroup/memory"), vec!["rw", "memory"])]);
        let v2: Vec<_> = mount_points(mounts, "cgroup2").map(|(path, _)| path).collect();
        assert_eq!(v2, [PathBuf::from("/sys/fs/cgroup/unified")]);
    }
}
