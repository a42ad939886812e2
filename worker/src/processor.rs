//! Released images hold two worker binaries for x86-64: one that runs on every such processor, which is started, and
//! one for processors with the instructions of x86-64-v3 (AVX2 and what came with it, since 2013). The first looks for
//! the second in the folder `x86-64-v3` beside it.

use std::{io, os::unix::process::CommandExt as _, path::PathBuf, process::Command};

/// The level's name in the x86-64 psABI, and of the folder.
const LEVEL: &str = "x86-64-v3";

/// Goes on as the binary that is made for this processor, with the same arguments. Returns if this is the only one, or
/// the right one, or with the error if the other one cannot be started.
pub(crate) fn exec_best_binary() -> io::Result<()> {
    if !is_level_missing_here() || !has_level() {
        return Ok(());
    }
    let this = std::env::current_exe()?;
    let best: Option<PathBuf> = this.parent().zip(this.file_name()).map(|(folder, name)| folder.join(LEVEL).join(name));
    let Some(best) = best.filter(|best| best.is_file()) else { return Ok(()) };
    let mut arguments = std::env::args_os();
    let mut command = Command::new(best);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    Err(command.args(arguments).exec())
}

/// Whether this binary was compiled without these instructions, so that another one may be better.
const fn is_level_missing_here() -> bool {
    !cfg!(target_feature = "avx2")
}

/// Whether this processor has them.
#[cfg(target_arch = "x86_64")]
fn has_level() -> bool {
    use std::arch::is_x86_feature_detected as has;
    let has_vectors = has!("avx2") && has!("fma") && has!("f16c");
    has_vectors && has!("bmi1") && has!("bmi2") && has!("lzcnt") && has!("movbe")
}

#[cfg(not(target_arch = "x86_64"))]
fn has_level() -> bool {
    false
}
