// The entries of an archive, carried out on a folder. Whatever they say, nothing outside of the folder is touched.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <ctime>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace dewar {

struct UnpackLimits {
  std::uint64_t bytes = std::uint64_t{64} << 30;  ///< of file contents, as long as the files say they are
  std::uint64_t entries = 4'000'000;
  std::size_t depth = 128;  ///< of folders
};

/// What an archive held.
struct UnpackCount {
  std::uint64_t bytes = 0, entries = 0;
  std::uint64_t skipped = 0;  ///< device nodes and sockets, which are never made
};

struct TreeEntry {
  enum class Kind : std::uint8_t { kFolder, kFile, kSymlink, kHardLink, kFifo, kOther };
  std::string path;
  Kind kind = Kind::kFile;
  std::string link;  ///< what a symlink says; the path of the file that a hard link is another name of
  mode_t mode = 0;
  uid_t uid = 0;
  gid_t gid = 0;
  timespec modified{};
  std::uint64_t size = 0;
};

/// One layer, over what is in the folder already. An entry replaces what stands in its way; a folder upon a folder
/// keeps what is in it. Symlinks on the way to an entry are followed as the image itself would follow them, inside the
/// folder. Setuid and setgid bits of files are dropped: no sandbox honours them.
class TreeWriter {
 public:
  /// `whiteouts`: names that begin with ".wh." take away what earlier layers made (OCI image-spec, "Whiteouts").
  TreeWriter(int root, bool whiteouts, UnpackLimits limits, UnpackCount& count)
      : root_(root), whiteouts_(whiteouts), limits_(limits), count_(count) {}

  /// Carries an entry out. For a file that has bytes to come: its descriptor, to be written and then given to
  /// finish_file(). Errors: in words for what no image can mean ("..", a hard link to nothing), EFBIG for a limit.
  Result<UniqueFd> add(const TreeEntry& entry);
  Result<void> finish_file(const UniqueFd& file, const TreeEntry& entry);
  /// Once all entries are there: the times of folders.
  void finish();

 private:
  Result<std::string> checked(const std::string& path) const;
  Result<void> white_out(int parent, const std::string& name);
  Result<bool> remove_older(int folder);
  Result<void> make_way(int parent, const std::string& name, const TreeEntry& entry);
  Result<void> make_folder_entry(int parent, const std::string& name, const TreeEntry& entry);
  Result<UniqueFd> make_file(int parent, const std::string& name, const TreeEntry& entry);
  Result<void> link_file(int parent, const std::string& name, const std::string& path, const TreeEntry& entry);
  Result<void> own(int parent, const std::string& name, const TreeEntry& entry);

  int root_;
  bool whiteouts_;
  UnpackLimits limits_;
  UnpackCount& count_;
  std::unordered_set<ino_t> ours_;  ///< made or changed by this layer
  std::vector<std::pair<std::string, timespec>> folder_times_;
};

}  // namespace dewar
