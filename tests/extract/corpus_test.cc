// Archives that want out. Each is unpacked beside a canary tree, which must not change in any way; one that is refused
// must leave nothing in the target either.
#include <unistd.h>

#include <ostream>

#include "tests/extract/archives.h"
#include "tests/extract/extract_fixture.h"

namespace dewar {
namespace {

struct Evil {
  const char* title;
  std::string archive;
  std::string refusal;  ///< part of the error; "": it is unpacked
  std::vector<std::string> left = {};
  bool outside_links = false;  ///< let symlinks out be made, so that the next defence is what holds
};

void PrintTo(const Evil& evil, std::ostream* out) { *out << evil.title; }

/// An absolute name for the canary of the test that runs: a symlink, the same for all tests of this process.
const std::string& canary_name() {
  static const std::string kName = "/var/tmp/dewar-canary-" + std::to_string(::getpid());
  return kName;
}

using Tar = std::vector<TarEntry>;

std::string deep(int folders) {
  std::string name;
  for (int i = 0; i < folders; ++i) name += "d/";
  return name + "file";
}

TarEntry folder(const std::string& name, unsigned mode = 0755) { return {.name = name, .type = '5', .mode = mode}; }
TarEntry file(const std::string& name, const std::string& content = "evil") {
  return {.name = name, .content = content};
}
TarEntry link(const std::string& name, const std::string& to) { return {.name = name, .type = '2', .link = to}; }
TarEntry hard(const std::string& name, const std::string& to) { return {.name = name, .type = '1', .link = to}; }

std::vector<Evil> names_that_lead_out() {
  const std::string absolute = canary_name() + "/file";
  return {
      {"AbsoluteName", tar({file(absolute)}), "absolute name"},
      {"TwoSlashes", tar({file("/" + absolute)}), "absolute name"},
      {"RootFolder", tar({folder("/", 0777)}), "absolute name"},
      {"DotDot", tar({file("../canary/file")}), "'..' in its name"},
      {"DotDotInside", tar({folder("a"), file("a/../../canary/file")}), "'..' in its name"},
      {"DotDotAtTheEnd", tar({file("a/..")}), "'..' in its name"},
      {"DotDotBehindDot", tar({file("./../canary/new")}), "'..' in its name"},
      {"DotDotAndSlashes", tar({file("..//canary//file")}), "'..' in its name"},
      {"ParentFolder", tar({folder("..", 0777)}), "'..' in its name"},
      {"PaxPath", tar({{.name = "ok", .content = "evil", .pax = {{"path", "../canary/file"}}}}), "'..' in its name"},
      {"PaxAbsolute", tar({{.name = "ok", .content = "evil", .pax = {{"path", absolute}}}}), "absolute name"},
      {"GnuLongName", tar({{.name = "ok", .content = "evil", .long_name = "../canary/file"}}), "'..' in its name"},
      {"PaxAndLongName",
       tar({{.name = "ok", .content = "evil", .pax = {{"path", "ok"}}, .long_name = "../canary/file"}}),
       "",
       {"ok"}},
      {"NoName", tar({{.name = "", .content = "evil"}}), "no name of its own"},
      {"DotIsAFile", tar({file(".")}), "no name of its own"},
      {"DotIsALink", tar({link(".", "..")}), "no name of its own"},
      {"DotIsAHardLink", tar({file("a"), hard(".", "a")}), "no name of its own"},
      {"ZipDotDot", zip({{.name = "../canary/file", .content = "evil"}}), "'..' in its name"},
      {"ZipAbsolute", zip({{.name = absolute, .content = "evil"}}), "absolute name"},
      {"ZipCentralLies", zip({{.name = "../canary/file", .content = "evil", .local_name = "ok"}}), "", {"ok"}},
      {"ZipLocalLies", zip({{.name = "ok", .content = "evil", .local_name = "../canary/file"}}), "'..' in its name"},
      {"ZipBackslashes", zip({{.name = "..\\canary\\file", .content = "evil"}}), "'..' in its name"},
      {"FiveThousandFolders", tar({{.name = "x", .pax = {{"path", deep(5000)}}}}), "folders deep, the limit is 128"},
      {"LongComponent", tar({{.name = "x", .pax = {{"path", std::string(300, 'n')}}}}), "File name too long"},
      {"LongPath", tar({{.name = "x", .pax = {{"path", std::string(200, 'n') + "/" + std::string(4000, 'n')}}}}),
       "longer than a path may be"},
  };
}

std::vector<Evil> symlinks() {
  const std::string absolute = canary_name();
  const std::string out = "may lead outside", behind = "lies below a file or a symlink";
  return {
      {"AbsoluteLink", tar({link("l", absolute)}), out},
      {"RelativeLink", tar({link("l", "../canary")}), out},
      {"LinkToProc", tar({link("l", "/proc/self/root")}), out},
      {"LinkDeepAndHigher", tar({link("a/b/l", "../../../canary")}), out},
      {"LinkDownAndUp", tar({folder("a"), link("l", "a/../../canary")}), out},
      {"ChainOfLinks", tar({link("d", "."), link("l", "d/../canary")}), out},
      {"ChainThatCountsRight", tar({link("a/d", ".."), link("a/l", "d/../canary")}), out},
      {"PaxLink", tar({{.name = "l", .type = '2', .link = "ok", .pax = {{"linkpath", absolute}}}}), out},
      {"GnuLongLink", tar({{.name = "l", .type = '2', .link = "ok", .long_link = "../canary"}}), out},
      {"EmptyLink", tar({link("l", "")}), "points to nothing"},
      {"WriteThrough", tar({link("l", absolute), file("l/file")}), behind, {}, true},
      {"WriteThroughRelative", tar({link("l", "../canary"), file("l/file")}), behind, {}, true},
      {"WriteThroughSecond", tar({link("a", "../canary"), link("b", "a"), file("b/file")}), behind, {}, true},
      {"NewFileThrough", tar({link("l", absolute), file("l/new")}), behind, {}, true},
      {"NewFileThroughAndDeeper", tar({link("l", absolute), file("l/folder/new")}), behind, {}, true},
      {"NewFoldersThrough", tar({link("l", "../canary"), file("l/new/deep/file")}), behind, {}, true},
      {"FolderThroughAndDeeper", tar({link("l", absolute), folder("l/folder/new")}), behind, {}, true},
      {"LinkThroughAndDeeper", tar({link("l", absolute), link("l/folder/new", "x")}), behind, {}, true},
      {"HardLinkThroughAndDeeper", tar({file("a"), link("l", absolute), hard("l/folder/new", "a")}), behind, {}, true},
      {"HardLinkFromDeeper",
       tar({link("l", absolute + "/.."), hard("h", "l/canary/file")}),
       "which is no file of the archive",
       {},
       true},
      {"FolderThrough", tar({link("l", absolute), folder("l/new")}), behind, {}, true},
      {"LinkThrough", tar({link("l", absolute), link("l/new", "file")}), behind, {}, true},
      {"HardLinkThrough", tar({file("a"), link("l", absolute), hard("l/new", "a")}), behind, {}, true},
      {"DeviceThrough", tar({link("l", absolute), {.name = "l/null", .type = '3'}}), "is a device", {}, true},
      {"LinkIsAFileNext", tar({link("l", absolute + "/file"), file("l")}), "", {"l"}, true},
      {"LinkIsAFolderNext", tar({link("l", absolute), folder("l", 0700), file("l/file")}), "", {"l/", "l/file"}, true},
      {"FolderIsALinkNext", tar({folder("d"), link("d", absolute), file("d/file")}), behind, {}, true},
      // The times of folders are set last; by then this one leads elsewhere.
      {"TimesThroughALink", tar({folder("d", 0777), link("d", absolute)}), "", {"d"}, true},
      {"FolderTwiceThroughALink", tar({folder("d"), link("d", absolute), folder("d", 0777)}), "", {"d/"}, true},
      {"ZipLink", zip({{.name = "l", .content = absolute, .mode = 0120777}}), out},
      {"ZipLinkThrough",
       zip({{.name = "l", .content = "../canary", .mode = 0120777}, {.name = "l/file", .content = "evil"}}),
       behind,
       {},
       true},
  };
}

std::vector<Evil> hard_links() {
  const std::string absolute = canary_name() + "/file", none = "which is no file of the archive";
  return {
      {"HardLinkAbsolute", tar({hard("h", absolute)}), "absolute name"},
      {"HardLinkDotDot", tar({hard("h", "../canary/file")}), "'..' in its name"},
      {"HardLinkAndData", tar({{.name = "h", .type = '1', .content = "evil", .link = absolute}}), "absolute name"},
      {"HardLinkToNothing", tar({hard("h", "missing")}), none},
      {"HardLinkToALaterFile", tar({hard("h", "later"), file("later")}), none},
      {"HardLinkToItself", tar({file("h"), hard("h", "h")}), "", {"h"}},
      {"HardLinkToAFolder", tar({folder("d"), hard("h", "d")}), none},
      {"HardLinkToALink", tar({link("l", absolute), hard("h", "l"), file("h")}), none, {}, true},
      {"HardLinkBehindALink", tar({link("l", canary_name()), hard("h", "l/file")}), none, {}, true},
      {"HardLinkThenWrite", tar({file("a", "kept"), hard("h", "a"), file("h", "new")}), "", {"a", "h"}},
      {"HardLinkMovesALink", tar({folder("d"), link("d/l", "../x"), hard("l", "d/l")}), none},
      // libarchive/libarchive#746: the link's target becomes a symlink before the link is made.
      {"HardLinkToWhatBecomesALink", tar({file("a"), link("a", absolute), hard("h", "a"), file("h")}), none, {}, true},
  };
}

std::vector<Evil> things_and_modes() {
  const std::string thing = "is a device, a pipe or a socket";
  return {
      {"CharacterDevice", tar({{.name = "null", .type = '3'}}), thing},
      {"BlockDevice", tar({{.name = "vda", .type = '4'}}), thing},
      {"Pipe", tar({{.name = "pipe", .type = '6'}}), thing},
      {"ZipDevice", zip({{.name = "null", .mode = 0020666}}), thing},
      {"ZipSocket", zip({{.name = "socket", .mode = 0140666}}), thing},
      {"FileBelowFile", tar({file("a"), file("a/b")}), "lies below a file or a symlink"},
      {"FileOverFullFolder", tar({file("d/a"), file("d")}), "folder that is not empty"},
      {"LinkOverFullFolder", tar({file("d/a"), link("d", "x")}), "folder that is not empty"},
      {"EncryptedZip", zip({{.name = "a", .content = std::string(32, 'x'), .flags = 1}}), "is encrypted"},
      {"NegativeSize", tar({{.name = "a", .stated_size = -512}}), "read the archive"},
      {"EnormousSize", tar({{.name = "a", .stated_size = 0x7000'0000'0000'0000}}), "larger than the limit"},
      {"EnormousPaxSize", tar({{.name = "a", .pax = {{"size", "9223372036854775000"}}}}), "larger than the limit"},
  };
}

class Corpus : public ExtractTest, public ::testing::WithParamInterface<Evil> {
 protected:
  Corpus() {
    ::unlink(canary_name().c_str());
    EXPECT_EQ(::symlink(canary().c_str(), canary_name().c_str()), 0);
  }
  ~Corpus() override { ::unlink(canary_name().c_str()); }

  void judge(const Result<ExtractReport>& done, const std::map<std::string, std::string>& before) {
    const Evil& evil = GetParam();
    EXPECT_EQ(neighbours(), before);
    if (evil.refusal.empty()) {
      ASSERT_TRUE(done) << done.error().message();
      EXPECT_EQ(names(), evil.left);
    } else {
      ASSERT_FALSE(done);
      EXPECT_NE(done.error().message().find(evil.refusal), std::string::npos) << done.error().message();
      EXPECT_EQ(names(), std::vector<std::string>{}) << "a refused archive leaves nothing";
    }
  }
};

// covers: S18, F40
TEST_P(Corpus, LeavesTheCanaryAlone) {
  const ExtractLimits limits{.outside_links = GetParam().outside_links};
  const auto before = neighbours();
  judge(unpack(GetParam().archive, "archive", limits), before);
}

// covers: S18
TEST_P(Corpus, FromAFileToo) {
  const ExtractLimits limits{.outside_links = GetParam().outside_links};
  const auto before = neighbours();
  judge(unpack_file(GetParam().archive, "archive", limits), before);
}

std::vector<Evil> all() {
  std::vector<Evil> list;
  for (const auto& part : {names_that_lead_out(), symlinks(), hard_links(), things_and_modes()})
    list.insert(list.end(), part.begin(), part.end());
  return list;
}

INSTANTIATE_TEST_SUITE_P(Evil, Corpus, ::testing::ValuesIn(all()),
                         [](const auto& item) { return std::string(item.param.title); });

}  // namespace
}  // namespace dewar
