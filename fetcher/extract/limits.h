#pragma once

#include <cstdint>
#include <string>

namespace dewar {

/// What an archive may ask for at most. Each is refused where it is crossed, before anything is seen in the target.
struct ExtractLimits {
  std::uint64_t bytes = 64ULL << 30;  ///< of all files together, holes of sparse files included
  std::uint64_t entries = 1'000'000;  ///< files, folders and links, those that a later entry replaces included
  std::uint64_t ratio = 250;          ///< bytes unpacked per byte of the archive, once kFreeBytes are unpacked
  std::uint32_t depth = 128;          ///< folders above an entry
  bool outside_links = false;         ///< symlinks to what lies outside the target are made, not refused

  static constexpr std::uint64_t kFreeBytes = 64ULL << 20;
};

/// What an extraction did, for people and reports.
struct ExtractReport {
  std::string format;          ///< "tar", "tar.gz", "zip", "gz", …
  std::uint64_t bytes_in = 0;  ///< of the archive
  std::uint64_t bytes = 0;     ///< of the files, holes included
  std::uint64_t files = 0, folders = 0, symlinks = 0, hard_links = 0;
  std::uint64_t modes_cut = 0;  ///< entries that had setuid, setgid or sticky bits, or could be written by others
};

}  // namespace dewar
