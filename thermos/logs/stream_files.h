#pragma once

#include <optional>
#include <string>
#include <vector>

#include "thermos/logs/archive.h"
#include "thermos/logs/index_reader.h"

namespace dewar {

/// One stream of a run as bytes by their position, over the live file, the rotated and the compressed ones, while the
/// pump may rotate, compress and remove. A file is known by its inode, never by its name alone. Holds one file open.
class StreamFiles {
 public:
  /// Both live as long as this.
  StreamFiles(const UniqueFd& folder, OutputStream stream, FileStarts& starts)
      : folder_(&folder), stream_(stream), starts_(&starts) {}

  struct Bytes {
    std::size_t size = 0;                      ///< how many were read
    std::optional<std::uint64_t> resume = {};  ///< with size 0: the first position behind that is in a file
    bool damaged = false;                      ///< with size 0: a file that may have had them cannot be read
  };
  /// Up to `size` bytes from `position` on.
  Bytes read(std::uint64_t position, char* to, std::size_t size);

  /// The first position that is in a file now, and the one behind the last byte.
  std::uint64_t begin();
  std::uint64_t end();

 private:
  struct File {
    std::string name;
    std::uint32_t number = 0;  ///< 0: the live one
    bool compressed = false;
    ino_t inode = 0;
    std::optional<std::uint64_t> start = {};
    std::uint64_t size = 0;
    bool damaged = false;
    bool told = false;  ///< the index or its own head tells its start, which is not concluded from its neighbours
    bool operator==(const File&) const = default;
  };
  /// How long to look again at files that are being renamed.
  class Patience {
   public:
    bool again(const std::vector<File>& files);

   private:
    std::vector<File> last_;
    int looks_ = 0, same_ = 0;
  };
  void scan();
  bool look();
  std::vector<File> list();
  void place(std::vector<File>& files);
  static bool fits(const std::vector<File>& files);
  bool open(const File& file);
  std::size_t read_open(std::uint64_t position, char* to, std::size_t size);

  const UniqueFd* folder_;
  OutputStream stream_;
  FileStarts* starts_;
  std::vector<File> files_;         ///< by their start, as of the last look
  std::vector<std::string> names_;  ///< in the folder, then
  bool damaged_ = false;
  UniqueFd fd_;  ///< of the open file, if it is not compressed
  std::optional<Archive> archive_;
  ino_t open_inode_ = 0;
  std::uint64_t open_start_ = 0;
  bool open_told_ = false;
};

}  // namespace dewar
