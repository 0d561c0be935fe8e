// dewar-fetch and archives: unpacked while they come, seen only once they are known to be the right ones.
#include "base/digest.h"
#include "tests/extract/archives.h"
#include "tests/fetcher/fetch_fixture.h"

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
