//! The description of the format and the code have the same constants.

use std::path::Path;

use icecore_archive as archive;

#[test]
fn the_tables_have_the_values_of_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let text = std::fs::read_to_string(root.join("FORMAT.md")).unwrap();
    let constants = [
        ("LAYOUT", archive::LAYOUT),
        ("BLOCK_LEN", archive::BLOCK_LEN),
        ("NAME_SIZE", archive::NAME_SIZE as u64),
        ("USTAR_SIZE_MAX", archive::USTAR_SIZE_MAX),
        ("ALIGN_FROM_LEN", archive::ALIGN_FROM_LEN),
        ("DATA_ALIGNMENT", archive::DATA_ALIGNMENT),
        ("COMMENT_RECORD_LEN_MIN", archive::COMMENT_RECORD_LEN_MIN),
        ("TRAILER_LEN", archive::TRAILER_LEN),
        ("MANIFEST_LEN_MAX", archive::MANIFEST_LEN_MAX),
        ("MEMBERS_MAX", archive::MEMBERS_MAX),
        ("SUBJECT_DEPTH_MAX", archive::SUBJECT_DEPTH_MAX as u64),
        ("ARCHIVE_LEN_MAX", archive::ARCHIVE_LEN_MAX),
        ("PATH_LEN_MAX", archive::PATH_LEN_MAX as u64),
        ("COMPONENT_LEN_MAX", archive::COMPONENT_LEN_MAX as u64),
        ("FRAME_LEN", archive::FRAME_LEN.into()),
        ("FRAME_LEN_MIN", archive::FRAME_LEN_MIN.into()),
        ("FRAME_LEN_MAX", archive::FRAME_LEN_MAX.into()),
        ("FRAME_OVERHEAD_MAX", archive::FRAME_OVERHEAD_MAX.into()),
        ("FRAMES_MAX", archive::FRAMES_MAX),
        ("WINDOW_LOG_MAX", archive::WINDOW_LOG_MAX.into()),
        ("CHECKSUMS_LEN", archive::CHECKSUMS_LEN),
        ("SEEK_ENTRY_LEN", archive::SEEK_ENTRY_LEN),
        ("SEEK_FOOTER_LEN", archive::SEEK_FOOTER_LEN),
    ];
    for (name, value) in constants {
        assert!(text.contains(&format!("| `{name}` | {value} |")), "{name} = {value} is not in the tables");
    }
    let magics = [
        ("CHECKSUMS_MAGIC", archive::CHECKSUMS_MAGIC),
        ("SEEK_TABLE_MAGIC", archive::SEEK_TABLE_MAGIC),
        ("SEEKABLE_MAGIC", archive::SEEKABLE_MAGIC),
    ];
    for (name, value) in magics {
        assert!(
            text.contains(&format!("| `{name}` | {value:#010X} |").replace("0X", "0x")),
            "{name} = {value:#x} is not in the tables"
        );
    }
    let tag = std::str::from_utf8(archive::CHECKSUMS_TAG).unwrap();
    assert!(text.contains(&format!("| `CHECKSUMS_TAG` | `{tag}` |")), "{tag} is not in the tables");
    for name in [archive::MANIFEST_NAME, archive::DIGEST_NAME, archive::PAX_NAME] {
        assert!(text.contains(&format!("`{name}`")), "{name} is not in the text");
    }
}
