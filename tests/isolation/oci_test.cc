#include "isolation/image/oci.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace dewar {
namespace {

using ::testing::HasSubstr;

const std::string kDigest = "sha256:" + std::string(64, 'a'), kOther = "sha256:" + std::string(64, 'b');

std::string manifest(const std::string& digest, const std::string& more = "") {
  return R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":")" + digest + R"(","size":7)" + more +
         "}";
}
std::string tagged(const std::string& tag) {
  return R"(,"annotations":{"org.opencontainers.image.ref.name":")" + tag + "\"}";
}
std::string platform(const std::string& architecture) {
  return R"(,"platform":{"os":"linux","architecture":")" + architecture + "\"}";
}
std::string index(const std::string& manifests) { return R"({"schemaVersion":2,"manifests":[)" + manifests + "]}"; }

template <class T>
std::string error_of(const Result<T>& result) {
  return result ? "no error" : result.error().message();
}

TEST(Oci, TheOnlyImageNeedsNoTag) {
  const auto chosen = choose_manifest(index(manifest(kDigest)), "", "amd64");
  ASSERT_TRUE(chosen) << error_of(chosen);
  EXPECT_EQ(chosen->digest, kDigest);
  EXPECT_EQ(chosen->size, 7u);
}

TEST(Oci, ATagChoosesAmongSeveral) {
  const std::string two = index(manifest(kDigest, tagged("one")) + "," + manifest(kOther, tagged("two")));
  EXPECT_EQ(choose_manifest(two, "two", "amd64")->digest, kOther);
  EXPECT_THAT(error_of(choose_manifest(two, "", "amd64")), HasSubstr("say which by its tag: one, two"));
  EXPECT_THAT(error_of(choose_manifest(two, "three", "amd64")), HasSubstr("no image 'three'"));
}

TEST(Oci, AnImageForAnotherMachineIsNoChoice) {
  const std::string two = index(manifest(kDigest, platform("arm64")) + "," + manifest(kOther, platform("amd64")));
  EXPECT_EQ(choose_manifest(two, "", "amd64")->digest, kOther);
  EXPECT_THAT(error_of(choose_manifest(two, "", "riscv64")), HasSubstr("no image for linux/riscv64"));
}

TEST(Oci, ADigestThatIsNoneLeadsNowhere) {
  for (const std::string digest :
       {"", "sha256:", "sha256:../../../../../etc/passwd", "sha512:abc", "md5:0", "sha256:ABCDEF"}) {
    EXPECT_THAT(error_of(choose_manifest(index(manifest(digest)), "", "amd64")), HasSubstr("only sha256")) << digest;
  }
}

TEST(Oci, WhatIsNoImageIsToldInWords) {
  for (const char* text : {"", "[]", "7", "{", "nonsense", "{\"manifests\":7}", "{\"manifests\":[7, [], null]}"})
    EXPECT_FALSE(choose_manifest(text, "", "amd64")) << text;
  for (const char* text : {"", "{}", "{\"config\":{}}", "{\"config\":7,\"layers\":[]}"})
    EXPECT_FALSE(parse_manifest(text)) << text;
  const std::string no_layers = R"({"config":)" + manifest(kDigest) + R"(,"layers":[]})";
  EXPECT_THAT(error_of(parse_manifest(no_layers)), HasSubstr("no layers"));
  EXPECT_FALSE(parse_image_config(R"({"config":{"Env":["no equals sign"]}})"));
  EXPECT_FALSE(parse_image_config(R"({"config":{"Env":[7]}})"));
  EXPECT_FALSE(parse_image_config(R"({"config":{"Env":["A=\u0000"]}})"));
}

TEST(Oci, AConfigGivesVariablesAndAUser) {
  const auto config = parse_image_config(
      R"({"config":{"Env":["A=1","B=x=y"],"User":"app:staff","Entrypoint":["/x"],"WorkingDir":"/app"}})");
  ASSERT_TRUE(config) << error_of(config);
  EXPECT_THAT(config->environment, ::testing::ElementsAre("A=1", "B=x=y"));
  EXPECT_EQ(config->user, "app:staff");
  EXPECT_TRUE(parse_image_config("{}")->environment.empty());
}

}  // namespace
}  // namespace dewar
