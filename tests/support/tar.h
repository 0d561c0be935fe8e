// Tar archives (ustar, POSIX.1-1988) written by hand, so that a test can put anything into them.
#pragma once

#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace dewar {

struct TarEntry {
  std::string path;
  std::string content = {};
  char type =
      '0';  ///< '0' file, '1' hard link, '2' symlink, '3' character device, '5' folder, '6' fifo, 'x' pax records
  std::string link = {};
  unsigned mode = 0644, uid = 0, gid = 0;
  std::uint64_t told_size = ~0ull;  ///< a size that is a lie
};

inline TarEntry tar_folder(const std::string& path, unsigned mode = 0755) { return {path, "", '5', "", mode}; }
inline TarEntry tar_symlink(const std::string& path, const std::string& to) { return {path, "", '2', to, 0777}; }
inline TarEntry tar_hard_link(const std::string& path, const std::string& to) { return {path, "", '1', to}; }
/// Gives the next entry a name of any length and any bytes.
inline TarEntry tar_pax_path(const std::string& path) {
  std::string record = " path=" + path + "\n";
  std::size_t size = record.size();
  while (std::to_string(size).size() + record.size() > size) size = std::to_string(size).size() + record.size();
  return {"pax", std::to_string(size) + record, 'x'};
}

inline std::string tar_header(const TarEntry& entry) {
  std::string block(512, '\0');
  const auto put = [&](std::size_t at, const std::string& text) { block.replace(at, text.size(), text); };
  const auto octal = [&](std::size_t at, int width, std::uint64_t value) {
    char text[32];
    std::snprintf(text, sizeof text, "%0*llo", width - 1, static_cast<unsigned long long>(value));
    put(at, text);
  };
  put(0, entry.path.substr(0, 100));
  octal(100, 8, entry.mode);
  octal(108, 8, entry.uid);
  octal(116, 8, entry.gid);
  octal(124, 12, entry.told_size != ~0ull ? entry.told_size : entry.content.size());
  octal(136, 12, 1'000'000'000);
  block[156] = entry.type;
  put(157, entry.link.substr(0, 100));
  put(257, std::string("ustar\0", 6) + "00");
  octal(329, 8, 1);
  octal(337, 8, 3);
  put(148, "        ");
  unsigned sum = 0;
  for (const unsigned char byte : block) sum += byte;
  octal(148, 7, sum);
  return block;
}

inline std::string tar(const std::vector<TarEntry>& entries) {
  std::string bytes;
  for (const TarEntry& entry : entries) {
    bytes += tar_header(entry) + entry.content;
    bytes.resize((bytes.size() + 511) / 512 * 512);
  }
  return bytes + std::string(1024, '\0');
}

}  // namespace dewar
