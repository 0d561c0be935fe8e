// The store of unpacked images, and the ranges of ids.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <set>

#include "base/files.h"
#include "isolation/id_range.h"
#include "isolation/image/image.h"
#include "isolation/launch_info.h"
#include "tests/isolation/image_fixture.h"
#include "tests/support/tar.h"
#include "tests/support/temp_folder.h"

namespace dewar {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

template <class T>
std::string error_of(const Result<T>& result) {
  return result ? "no error" : result.error().message();
}

class ImageStoreTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }
  std::string store() const { return folder_ / "images"; }
  std::string layout() const { return folder_ / "layout"; }
  Result<Image> prepare(const std::string& path, const std::string& tag = "") {
    return prepare_image({path, tag, false}, store());
  }
  /// Names in the store that are not locks.
  std::vector<std::string> stored() const {
    std::vector<std::string> names;
    for (const std::string& name : *list_dir(store())) {
      if (!name.ends_with(".lock")) names.push_back(name);
    }
    return names;
  }
  TempFolder folder_;
};

TEST_F(ImageStoreTest, AnArchiveIsUnpackedOnceByItsDigest) {
  ASSERT_TRUE(replace_file(folder_ / "a.tar", tar({{"file", "1"}})));
  const auto first = prepare(folder_ / "a.tar");
  ASSERT_TRUE(first) << error_of(first);
  EXPECT_TRUE(first->unpacked);
  EXPECT_EQ(*read_file(first->folder + "/file"), "1");
  const auto again = prepare(folder_ / "a.tar");
  EXPECT_FALSE(again->unpacked);
  EXPECT_EQ(again->folder, first->folder);
  EXPECT_EQ(again->digest, first->digest);
  ASSERT_TRUE(replace_file(folder_ / "copy.tar", *read_file(folder_ / "a.tar")));
  EXPECT_FALSE(prepare(folder_ / "copy.tar")->unpacked);

  ASSERT_TRUE(replace_file(folder_ / "a.tar", tar({{"file", "2"}})));
  const auto changed = prepare(folder_ / "a.tar");
  EXPECT_TRUE(changed->unpacked);
  EXPECT_EQ(*read_file(changed->folder + "/file"), "2");
  EXPECT_EQ(*read_file(first->folder + "/file"), "1");
}

TEST_F(ImageStoreTest, TheStoreIsForRootAlone) {
  ASSERT_TRUE(replace_file(folder_ / "a.tar", tar({{"file", "1"}})));
  ASSERT_TRUE(prepare(folder_ / "a.tar"));
  struct stat info {};
  ASSERT_EQ(::stat(store().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700u);
}

TEST_F(ImageStoreTest, EveryCompressionIsTold) {
  ASSERT_TRUE(replace_file(folder_ / "a.tar", tar({{"file", std::string(100'000, 'x')}})));
  for (const std::string program : {"gzip", "xz", "bzip2", "zstd"}) {
    const std::string out = folder_ / ("a." + program);
    const std::string command =
        "command -v " + program + " >/dev/null || exit 9; " + program + " -c " + (folder_ / "a.tar") + " > " + out;
    const int status = std::system(command.c_str());
    if (WEXITSTATUS(status) == 9) continue;  // not on this host
    ASSERT_EQ(status, 0);
    const auto image = prepare(out);
    ASSERT_TRUE(image) << error_of(image);
    EXPECT_EQ(read_file(image->folder + "/file")->size(), 100'000u) << program;
  }
}

TEST_F(ImageStoreTest, AFolderIsTakenAsItIs) {
  ASSERT_TRUE(make_dirs(folder_ / "root/bin"));
  const auto image = prepare(folder_ / "root");
  ASSERT_TRUE(image) << error_of(image);
  EXPECT_EQ(image->folder, folder_ / "root");
  EXPECT_EQ(image->digest, "");
  EXPECT_THAT(error_of(prepare(folder_ / "root", "tag")), HasSubstr("only an OCI image layout has tags"));
  EXPECT_THAT(error_of(prepare(folder_ / "nowhere")), HasSubstr("No such file"));
  EXPECT_THAT(error_of(prepare("/")), HasSubstr("more than any task may see"));
  EXPECT_THAT(error_of(prepare("/dev/null")), HasSubstr("neither a folder nor an archive"));
}

TEST_F(ImageStoreTest, ALayoutIsUnpackedLayerByLayer) {
  const std::string digest =
      add_oci_image(layout(), "v1", {tar({{"a", "1"}, {"b", "1"}}), tar({{"b", "2"}, {".wh.a", ""}})},
                    R"({"config":{"Env":["X=1"],"User":"7"}})");
  const auto image = prepare(layout());
  ASSERT_TRUE(image) << error_of(image);
  EXPECT_EQ(image->digest, digest);
  EXPECT_THAT(*list_dir(image->folder), ElementsAre("b"));
  EXPECT_EQ(*read_file(image->folder + "/b"), "2");
  EXPECT_THAT(image->config.environment, ElementsAre("X=1"));
  EXPECT_EQ(image->config.user, "7");
  EXPECT_EQ(prepare(layout())->config.user, "7") << "also when it was unpacked already";

  add_oci_image(layout(), "v2", {tar({{"c", "3"}})});
  EXPECT_THAT(error_of(prepare(layout())), HasSubstr("several images; say which by its tag: v1, v2"));
  EXPECT_EQ(*read_file(prepare(layout(), "v2")->folder + "/c"), "3");
}

TEST_F(ImageStoreTest, ABlobThatIsNotItsDigestIsRefusedAndNothingStays) {
  const std::string layer = tar({{"a", "1"}});
  const std::string digest = add_oci_image(layout(), "v1", {layer});
  std::string blob;
  for (const std::string& name : *list_dir(layout() + "/blobs/sha256")) {
    if (read_file(layout() + "/blobs/sha256/" + name)->size() == layer.size())
      blob = layout() + "/blobs/sha256/" + name;
  }
  std::string evil = layer;
  evil[512] = '2';
  ASSERT_TRUE(replace_file(blob, evil));
  EXPECT_THAT(error_of(prepare(layout())), HasSubstr("is damaged: its bytes have another digest"));
  EXPECT_THAT(stored(), ElementsAre());
  ASSERT_TRUE(replace_file(blob, layer + "x"));
  EXPECT_THAT(error_of(prepare(layout())), HasSubstr("bytes instead of"));
  ASSERT_TRUE(replace_file(blob, layer));
  EXPECT_TRUE(prepare(layout()));
  std::string manifest = *read_file(oci_blob(layout(), digest));
  manifest.replace(manifest.find("schemaVersion\":2"), 16, "schemaVersion\":3");
  ASSERT_TRUE(replace_file(oci_blob(layout(), digest), manifest));
  EXPECT_THAT(error_of(prepare(layout())), HasSubstr("damaged"));
}

TEST_F(ImageStoreTest, ManyAtOnceUnpackItOnce) {
  std::vector<TarEntry> entries;
  for (int i = 0; i < 300; ++i) entries.push_back({"file" + std::to_string(i), std::string(5000, 'x')});
  ASSERT_TRUE(replace_file(folder_ / "a.tar", tar(entries)));
  std::vector<pid_t> children;
  for (int i = 0; i < 6; ++i) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    const auto image = prepare(folder_ / "a.tar");
    ::_exit(!image || list_dir(image->folder)->size() != 300 ? 1 : image->unpacked ? 2 : 0);
  }
  int unpacked = 0;
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) != 1);
    unpacked += WEXITSTATUS(status) == 2;
  }
  EXPECT_EQ(unpacked, 1);
}

TEST_F(ImageStoreTest, KilledAtAnyTimeItIsWholeOrNotThere) {
  std::vector<TarEntry> entries;
  for (int i = 0; i < 400; ++i) entries.push_back({"d/file" + std::to_string(i), std::string(3000, 'x')});
  ASSERT_TRUE(replace_file(folder_ / "a.tar", tar(entries)));
  const auto is_final = [](const std::string& name) { return name.starts_with("sha256-") && !name.ends_with(".new"); };
  const auto begun = [&] {  // files that are there of the unfinished image
    for (const std::string& name : exists(store()) ? stored() : std::vector<std::string>{}) {
      const auto files = list_dir(store() + "/" + name + "/rootfs/d");
      if (!is_final(name) && files) return files->size();
    }
    return std::size_t{0};
  };
  for (const std::size_t files : {0, 1, 2, 30, 100, 200, 399, 400}) {
    const pid_t child = ::fork();
    if (child == 0) {
      (void)prepare(folder_ / "a.tar");
      ::_exit(0);
    }
    siginfo_t ended{};
    while (begun() < files && ended.si_pid == 0) ::waitid(P_PID, child, &ended, WEXITED | WNOHANG | WNOWAIT);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    for (const std::string& name : exists(store()) ? stored() : std::vector<std::string>{}) {
      if (!is_final(name)) continue;
      EXPECT_EQ(list_dir(store() + "/" + name + "/rootfs/d")->size(), 400u) << files;
    }
  }
  const auto image = prepare(folder_ / "a.tar");
  ASSERT_TRUE(image) << error_of(image);
  EXPECT_EQ(list_dir(image->folder + "/d")->size(), 400u);
  EXPECT_EQ(read_file(image->folder + "/d/file399")->size(), 3000u);
}

TEST_F(ImageStoreTest, TheShellIsTheImagesOwn) {
  const std::string root = folder_ / "root";
  ASSERT_TRUE(make_dirs(root + "/usr/bin"));
  EXPECT_THAT(error_of(find_shell(root)), HasSubstr("neither /bin/bash nor /bin/sh"));
  ASSERT_EQ(::symlink("/usr/bin", (root + "/bin").c_str()), 0);
  ASSERT_EQ(::symlink("/bin/../../../../../../bin/sh-of-image", (root + "/usr/bin/sh").c_str()), 0);
  EXPECT_FALSE(find_shell(root)) << "the host's does not count";
  ASSERT_TRUE(replace_file(root + "/usr/bin/sh-of-image", "#!", 0755));
  EXPECT_EQ(*find_shell(root), "/bin/sh");
  ASSERT_TRUE(replace_file(root + "/usr/bin/bash", "#!", 0644));
  EXPECT_EQ(*find_shell(root), "/bin/sh") << "no program";
  ASSERT_TRUE(replace_file(root + "/usr/bin/bash", "#!", 0755));
  EXPECT_EQ(*find_shell(root), "/bin/bash");
}

TEST_F(ImageStoreTest, UsersAreTheImagesOwn) {
  const std::string root = folder_ / "root";
  ASSERT_TRUE(make_dirs(root + "/etc"));
  ASSERT_TRUE(replace_file(root + "/etc/passwd", "root:x:0:0::/:\napp:x:1001:1002::/:\nbad:x:zero:1::/:\n"));
  ASSERT_TRUE(replace_file(root + "/etc/group", "staff:x:50:\n"));
  const auto ids = [&](const std::string& user) {
    const auto found = look_up_image_user(root, user);
    return found ? found->name + " " + std::to_string(found->uid) + " " + std::to_string(found->gid) : error_of(found);
  };
  EXPECT_EQ(ids("app"), "app 1001 1002");
  EXPECT_EQ(ids("app:staff"), "app 1001 50");
  EXPECT_EQ(ids("1001"), "app 1001 1002");
  EXPECT_EQ(ids("5:6"), "5 5 6");
  EXPECT_EQ(ids("5"), "5 5 0");
  EXPECT_THAT(ids("nobody"), HasSubstr("'nobody', which its /etc/passwd does not know"));
  EXPECT_THAT(ids("app:none"), HasSubstr("'none', which its /etc/group does not know"));
  EXPECT_THAT(ids("bad"), HasSubstr("no numbers"));
  EXPECT_THAT(ids("-1"), HasSubstr("does not know"));
  EXPECT_THAT(ids("4294967295"), HasSubstr("does not know"));
}

TEST_F(ImageStoreTest, ARangeOfIdsIsOneTasksUntilItEnds) {
  const std::string folder = folder_ / "ids", run = folder_ / "run", ended = folder_ / "run/ended";
  ASSERT_TRUE(make_dirs(run));
  const auto first = reserve_id_range({run, ended}, folder), second = reserve_id_range({run, ended}, folder);
  ASSERT_TRUE(first) << error_of(first);
  EXPECT_NE(*first, *second);
  EXPECT_GE(*first, kFirstRange);
  EXPECT_EQ((*first - kFirstRange) % kIdCount, 0u);
  ASSERT_TRUE(replace_file(ended, ""));
  const auto next = reserve_id_range({folder_.path(), ended + ".never"}, folder);
  EXPECT_THAT(*list_dir(folder), ElementsAre(std::to_string(*next), "lock")) << "both were given back by the end";
}

TEST_F(ImageStoreTest, RangesReservedAtOnceDiffer) {
  const std::string folder = folder_ / "ids";
  std::vector<pid_t> children;
  for (int i = 0; i < 20; ++i) {
    children.push_back(::fork());
    if (children.back() != 0) continue;
    const auto range = reserve_id_range({folder_.path(), folder_ / "never"}, folder);
    ::_exit(range && replace_file(folder_ / ("got." + std::to_string(i)), std::to_string(*range)) ? 0 : 1);
  }
  for (const pid_t child : children) ::waitpid(child, nullptr, 0);
  std::set<std::string> ranges;
  for (int i = 0; i < 20; ++i) ranges.insert(*read_file(folder_ / ("got." + std::to_string(i))));
  EXPECT_EQ(ranges.size(), 20u);
}

}  // namespace
}  // namespace dewar
