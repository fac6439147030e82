// apps/common/toolkit_files.h: the toolkit's own files, and what its cache knows of others.
#pragma once

#include <atomic>
#include <string>

namespace ppx::app {

// The folder of prompts/, voices/, configs/ and eval/: $PPX_DATA, else the source tree.
std::string DataFolder();

// A file that `name` is, or DATA/FOLDER/NAME.yaml of the toolkit's own. Throws base::Error
// (kBadInput) listing what there is.
std::string FindOwnFile(const std::string& name, const std::string& folder);

// SHA-256 of a file. Of a large one the cache keeps it, by the file's path, inode, size and time of
// change, so that gigabytes are read once. A cache that cannot be written is no error. Throws as
// base::Sha256File.
std::string CachedSha256File(const std::string& path, const std::atomic<bool>* cancel);

}  // namespace ppx::app
