// Archives for tests, byte by byte, so that they can hold what no archiver would write.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "fetcher/extract/decompressor.h"

namespace dewar {

struct TarEntry {
  std::string name;
  char type = '0';  ///< '0' file, '1' hard link, '2' symlink, '3' and '4' devices, '5' folder, '6' pipe
  std::string content = {};
  std::string link = {};
  unsigned mode = 0644;
  /// Before the entry: a pax header with these lines ("path", "x"), and GNU's long names where not empty.
  std::vector<std::pair<std::string, std::string>> pax = {};
  std::string long_name = {}, long_link = {};
  std::int64_t stated_size = -1;  ///< in the header, if not that of the content; written in base 256
};

/// One header block, whose fields may be broken afterwards (fix_checksum() makes it valid again).
std::string tar_header(const TarEntry& entry);
void fix_checksum(std::string& header);
std::string tar_entry(const TarEntry& entry);
/// With the two blocks of zeros at the end.
std::string tar(const std::vector<TarEntry>& entries);

struct ZipEntry {
  std::string name;
  std::string content = {};
  unsigned mode = 0100644;      ///< type and permissions, as of stat(2)
  std::string local_name = {};  ///< in the local header, if it is to differ
  unsigned flags = 0;           ///< general purpose; 1: encrypted
  bool wrong_checksum = false;
  bool deflated = false;  ///< else stored
};
std::string zip(const std::vector<ZipEntry>& entries);

std::string packed(Compression compression, const std::string& bytes);

}  // namespace dewar
