// dewar-fetch and archives: unpacked while they come, seen only once they are known to be the right ones.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <thread>

#include "base/digest.h"
#include "tests/extract/archives.h"
#include "tests/fetcher/fetch_fixture.h"
#include "tests/support/wait_in.h"

namespace dewar {
namespace {

class UnpackTest : public FetchTest {
 protected:
  Artifact archive(const std::string& name, const std::string& bytes) {
    EXPECT_TRUE(replace_file(temp_ / name, bytes));
    return artifact("file://" + temp_ / name);
  }
};

TEST_F(UnpackTest, TheDigestDecidesWhetherItIsSeen) {
  const std::string bytes =
      packed(Compression::kGzip, tar({{.name = "app/run", .content = "#!/bin/sh\n", .mode = 0755},
                                      {.name = "app/data", .content = std::string(3 << 20, 'd')}}));
  Artifact wanted = archive("app.tar.gz", bytes);
  wanted.sha256 = sha256("something else");
  EXPECT_EQ(run(wanted).status, 1);
  EXPECT_EQ(names(), std::vector<std::string>{}) << "all of it was unpacked by then, and nobody saw it";
  wanted.sha256 = sha256(bytes);
  const End end = run(wanted);
  EXPECT_EQ(end.status, 0) << end.err;
  EXPECT_EQ(content_of("app/run"), "#!/bin/sh\n");
  EXPECT_EQ(content_of("app/data").size(), 3u << 20);
  EXPECT_EQ(names(), std::vector<std::string>{"app"}) << "the archive itself does not stay";
  EXPECT_EQ(status().items.at(0).files, 2u);
}

/// Bytes that compression halves, and no more.
std::string noise(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string bytes(size, '\0');
  std::ranges::generate(bytes, [&] { return static_cast<char>('a' + random() % 16); });
  return bytes;
}

TEST_F(UnpackTest, FilesAreWrittenWhileTheRestIsStillToCome) {
  const std::string first = noise(3 << 20, 1), second = noise(3 << 20, 2), go = temp_ / "go";
  ASSERT_EQ(::mkfifo(go.c_str(), 0644), 0);
  const UniqueFd going(::open(go.c_str(), O_RDWR | O_CLOEXEC));
  ASSERT_TRUE(going);
  configure("stall_timeout 60s");
  configure("helper own /bin/sh " + (temp_ / "send"));
  for (const Compression compression : {Compression::kGzip, Compression::kZstd}) {
    const std::string name = compression == Compression::kGzip ? "a.tar.gz" : "a.tar.zst";
    const std::string bytes =
        packed(compression, tar({{.name = "first", .content = first}, {.name = "second", .content = second}}));
    const std::string path = temp_ / "archive", most = std::to_string(bytes.size() * 7 / 10);
    ASSERT_TRUE(replace_file(path, bytes));
    ASSERT_TRUE(replace_file(temp_ / "send", "head -c " + most + " " + path + "\nread line < " + go + "\ntail -c +$((" +
                                                 most + " + 1)) " + path));
    Artifact wanted = artifact("own://there/" + name);
    wanted.sha256 = sha256(bytes);
    wanted.into = name + ".d";
    End end;
    std::thread fetching([&] { end = run(wanted); });
    const std::string into = in_sandbox(wanted.into);
    std::string hidden;
    const auto has_one = [&] {
      const auto names = list_dir(into);
      if (names && names->size() == 1) hidden = names->front();
      return !hidden.empty();
    };
    EXPECT_TRUE(
        wait_in(in_sandbox(""), [&] { return exists(into); }) && wait_in(into, has_one) &&
        wait_in(into + "/" + hidden, [&] { return content_of(wanted.into + "/" + hidden + "/first") == first; }))
        << name;
    EXPECT_EQ(::write(going.get(), "\n", 1), 1);
    fetching.join();
    EXPECT_EQ(end.status, 0) << end.err;
    EXPECT_TRUE(content_of(wanted.into + "/second") == second);
  }
}

TEST_F(UnpackTest, AZip) {
  const End end = run(archive("a.zip", zip({{.name = "in/a", .content = "x", .deflated = true}})));
  EXPECT_EQ(end.status, 0) << end.err;
  EXPECT_EQ(content_of("in/a"), "x");
}

// covers: S18
TEST_F(UnpackTest, OneThatWantsOutIsRefusedInWords) {
  const End end = run(archive("evil.tar", tar({{.name = "good"}, {.name = "../evil", .content = "evil"}})));
  EXPECT_EQ(end.status, 1);
  EXPECT_NE(end.err.find("evil.tar: entry '../evil' has '..' in its name"), std::string::npos) << end.err;
  EXPECT_EQ(names(), std::vector<std::string>{});
  EXPECT_FALSE(exists(temp_ / "evil"));
}

}  // namespace
}  // namespace dewar
