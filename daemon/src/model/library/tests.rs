//! The order of the search. What happens to files that are no library is tested through the
//! command, because a process can load one library only: `tests/it/library.rs`.

use super::*;

fn listed(program: &str) -> Vec<String> {
    let candidates = candidates(None, Some(Path::new(program)));
    candidates.iter().map(|path| path.display().to_string()).collect()
}

#[cfg(target_os = "linux")]
#[test]
fn an_installed_program_looks_beside_itself_then_in_lib_then_in_the_system() {
    assert_eq!(
        listed("/opt/triaged/bin/triaged"),
        [
            "/opt/triaged/bin/libonnxruntime.so",
            "/opt/triaged/lib/triaged/libonnxruntime.so",
            "libonnxruntime.so",
            "libonnxruntime.so.1",
        ]
    );
}

#[test]
fn a_program_in_a_build_tree_finds_what_make_setup_fetched() {
    let fetched = format!("/home/me/triaged/.onnxruntime/lib/libonnxruntime{DLL_SUFFIX}");
    for program in [
        "target/debug/triaged",
        "target/release/triaged",
        "target/debug/deps/it-0a1b2c",
        "target/x86_64-unknown-linux-gnu/release/triaged",
    ] {
        let listed = listed(&format!("/home/me/triaged/{program}"));
        assert!(listed.contains(&fetched), "{program}: {listed:?}");
    }
}

#[test]
fn a_library_that_somebody_names_is_the_only_one_tried() {
    let named = PathBuf::from("/opt/onnxruntime/libonnxruntime.so");
    let program = Some(Path::new("/usr/bin/triaged"));
    assert_eq!(candidates(Some(named.clone()), program), [named]);
}
