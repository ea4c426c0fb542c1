//! Writes the published schemas into `schemas/`: `./x schemas`.

use std::path::Path;

fn main() -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("schemas");
    std::fs::create_dir_all(&folder)?;
    let files = proto::schemas::files();
    for old in std::fs::read_dir(&folder)? {
        let old = old?;
        if !files.contains_key(old.file_name().to_string_lossy().as_ref()) {
            std::fs::remove_file(old.path())?;
        }
    }
    files.iter().try_for_each(|(name, text)| std::fs::write(folder.join(name), text))
}
