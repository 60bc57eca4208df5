//! Compresses the built pages of client/ and lists them in `pages.rs`, for embedding. It does not build the pages: without
//! them the list is empty, and the program serves build instructions.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Write as _;
use std::hash::Hasher as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

use flate2::Compression;
use flate2::write::GzEncoder;

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed=build.rs");
    let dist = Path::new(&variable("CARGO_MANIFEST_DIR")).join("client/dist");
    let out = PathBuf::from(variable("OUT_DIR"));
    let mut list = String::from("&[\n");
    let mut number = 0;
    for part in ["dashboard", "docs", "graphiql"] {
        let folder = dist.join(part);
        // Cargo reruns the build script every time if a watched folder is missing. A read-only tree accepts that.
        fs::create_dir_all(&folder).ok();
        println!("cargo::rerun-if-changed={}", folder.display());
        for path in files(&folder)? {
            let bytes = fs::read(&path)?;
            let compressed = compress(&bytes)?;
            // Fonts are already compressed.
            let (form, content) =
                if compressed.len() < bytes.len() { ("Gzip", &compressed) } else { ("Plain", &bytes) };
            let file = format!("page-{number}");
            fs::write(out.join(&file), content)?;
            let name = path.strip_prefix(&dist).map_err(io::Error::other)?;
            let (name, tag) = (name.to_string_lossy().replace('\\', "/"), tag(&bytes));
            writeln!(
                list,
                "File {{ path: {name:?}, etag: {tag:?}, \
                 content: Content::{form}(include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\"))) }},"
            )
            .map_err(io::Error::other)?;
            number += 1;
        }
    }
    list.push(']');
    fs::write(out.join("pages.rs"), list)
}

/// A variable that Cargo sets.
fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is set by Cargo"))
}

/// The files below a folder, sorted, so that the build is reproducible.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else { return Ok(vec![]) };
    let mut paths: Vec<_> = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    paths.sort();
    let mut found = vec![];
    for path in paths {
        if path.is_dir() { found.extend(files(&path)?) } else { found.push(path) }
    }
    Ok(found)
}

fn compress(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(vec![], Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()
}

/// A weak entity tag of the uncompressed content.
fn tag(bytes: &[u8]) -> String {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    format!("W/\"{:016x}\"", hasher.finish())
}
