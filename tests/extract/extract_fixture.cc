#include "tests/extract/extract_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <sstream>

namespace dewar {

namespace fs = std::filesystem;

ExtractTest::ExtractTest() : umask_before_(::umask(022)) {
  EXPECT_TRUE(make_dirs(in_target("")));
  EXPECT_TRUE(make_dirs(canary() + "/folder"));
  EXPECT_TRUE(replace_file(canary() + "/file", "sings"));
  EXPECT_TRUE(replace_file(canary() + "/secret", "silent", 0600));
  EXPECT_EQ(::symlink("file", (canary() + "/link").c_str()), 0);
}

ExtractTest::~ExtractTest() { ::umask(umask_before_); }

UniqueFd ExtractTest::target() const {
  auto fd = open_file(in_target(""), O_RDONLY | O_DIRECTORY);
  EXPECT_TRUE(fd);
  return std::move(fd).take();
}

Result<ExtractReport> ExtractTest::unpack(std::string_view archive, const std::string& name,
                                          const ExtractLimits& limits) {
  Extractor extractor = DEWAR_TRY(Extractor::start(target(), name, limits));
  for (std::size_t piece = 1; !archive.empty(); piece = piece * 7 % 100'003) {
    DEWAR_TRY(extractor.write(archive.substr(0, piece)));
    archive.remove_prefix(std::min(piece, archive.size()));
  }
  return extractor.finish();
}

Result<ExtractReport> ExtractTest::unpack_file(std::string_view archive, const std::string& name,
                                               const ExtractLimits& limits) {
  EXPECT_TRUE(replace_file(temp_ / "archive", archive));
  const UniqueFd file = DEWAR_TRY(open_file(temp_ / "archive", O_RDONLY));
  EXPECT_EQ(::unlink((temp_ / "archive").c_str()), 0);
  return extract_file(file.get(), target(), name, limits);
}

std::vector<std::string> ExtractTest::names() const {
  std::vector<std::string> found;
  const std::string root = in_target("");
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    const bool folder = entry.is_directory() && !entry.is_symlink();
    found.push_back(entry.path().string().substr(root.size()) + (folder ? "/" : ""));
  }
  std::ranges::sort(found);
  return found;
}

unsigned ExtractTest::mode_of(const std::string& path) const {
  struct stat info {};
  EXPECT_EQ(::lstat(in_target(path).c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

std::string ExtractTest::content_of(const std::string& path) const {
  const auto text = read_file(in_target(path));
  return text ? *text : "";
}

std::map<std::string, std::string> ExtractTest::neighbours() const {
  std::map<std::string, std::string> found;
  for (auto at = fs::recursive_directory_iterator(temp_.path()); at != fs::recursive_directory_iterator(); ++at) {
    if (at->path() == temp_ / "target") {
      at.disable_recursion_pending();
      continue;
    }
    struct stat info {};
    EXPECT_EQ(::lstat(at->path().c_str(), &info), 0);
    std::ostringstream told;
    told << std::oct << info.st_mode << std::dec << ' ' << info.st_ino << ' ' << info.st_size << ' ' << info.st_nlink
         << ' ' << info.st_uid << ' ' << info.st_gid << ' ' << info.st_mtim.tv_sec << '.' << info.st_mtim.tv_nsec << ' '
         << info.st_ctim.tv_sec << '.' << info.st_ctim.tv_nsec << ' ';
    if (S_ISREG(info.st_mode)) told << *read_file(at->path());
    if (S_ISLNK(info.st_mode)) told << fs::read_symlink(at->path()).string();
    found[at->path()] = told.str();
  }
  return found;
}

}  // namespace dewar
