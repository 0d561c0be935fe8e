// Somebody with the same rights changes the tree while it is being unpacked.
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "tests/extract/archives.h"
#include "tests/extract/extract_fixture.h"

namespace dewar {
namespace {

/// Swaps the folder "d" of every extraction in `target` with a symlink to `canary`, and back, until told to stop.
void swap_folders(const std::string& target, const std::string& canary, const std::atomic<bool>& stop) {
  while (!stop) {
    for (const std::string& name : *list_dir(target)) {
      if (!name.starts_with(".dewar-unpack-")) continue;
      const std::string folder = target + name + "/d", aside = target + name + "/aside";
      if (::symlink(canary.c_str(), aside.c_str()) != 0) continue;
      (void)::syscall(SYS_renameat2, AT_FDCWD, folder.c_str(), AT_FDCWD, aside.c_str(), RENAME_EXCHANGE);
      (void)::syscall(SYS_renameat2, AT_FDCWD, folder.c_str(), AT_FDCWD, aside.c_str(), RENAME_EXCHANGE);
      ::unlink(aside.c_str());
    }
  }
}

// covers: S18
TEST_F(ExtractTest, ARaceLeadsNowhere) {
  std::vector<TarEntry> entries{{.name = "d", .type = '5'}};
  for (int i = 0; i < 100; ++i) {
    const std::string number = std::to_string(i);
    entries.push_back({.name = "d/f" + number, .content = "evil"});
    entries.push_back({.name = "d/d" + number, .type = '5', .mode = 0700});
    entries.push_back({.name = "d/l" + number, .type = '2', .link = "f" + number});
    entries.push_back({.name = "d/h" + number, .type = '1', .link = "d/f" + number});
    entries.push_back({.name = "d/file", .content = "replaces"});
  }
  const std::string archive = tar(entries);
  const auto before = neighbours();
  std::atomic<bool> stop = false;
  std::thread racer([&] { swap_folders(in_target(""), canary(), stop); });
  int refused = 0;
  for (int round = 0; round < 20; ++round) {
    refused += !unpack(archive);
    EXPECT_TRUE(remove_tree(in_target("d")));
    EXPECT_TRUE(remove_tree(in_target("aside")));
  }
  stop = true;
  racer.join();
  EXPECT_EQ(neighbours(), before);
  RecordProperty("refused", refused);
}

}  // namespace
}  // namespace dewar
