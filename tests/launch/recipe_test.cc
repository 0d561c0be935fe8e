#include <gtest/gtest.h>

#include "base/crc32c.h"
#include "isolation/launch_info.h"

namespace dewar {
namespace {

ContainerRecipe full_container() {
  ContainerRecipe recipe;
  recipe.root = "/var/lib/dewar/rootfs";
  recipe.mounts = {{MountKind::kBind, "/usr", "/usr", "", true, false, false},
                   {MountKind::kTmpfs, "", "/tmp", "mode=1777", false, true, false},
                   {MountKind::kBind, "/dev/null", "/dev/null", "", false, false, true}};
  recipe.hostname = "web-7";
  recipe.network = Network::kNone;
  recipe.v1_roots = {"/sys/fs/cgroup/memory/dewar/7", "/sys/fs/cgroup/cpu/dewar/7"};
  recipe.v1_cgroups = {"/sys/fs/cgroup/memory/dewar/7/init"};
  return recipe;
}

AttemptRecipe full_attempt() {
  AttemptRecipe recipe;
  recipe.launcher = {7, 99};
  recipe.argv = {"/bin/bash", "-c", std::string("echo \0 zero", 11)};
  recipe.env = {"PATH=/usr/bin", "EMPTY="};
  recipe.cwd = "/mnt/sandbox";
  recipe.user = {"www-data", 33, 33, {4, 5}};
  recipe.capabilities = 1u << 10;
  recipe.rlimits = {{7, 1024, ~0ull}};
  recipe.deny_speculation = true;
  recipe.seccomp = std::string(16, '\0');
  recipe.unified_cgroup = "/u";
  recipe.v1_cgroups = {"/m", "/c"};
  recipe.sweep_cgroup = "/m";
  recipe.logs.policy = {LogDestination::kBoth, LogMode::kRotate, 1 << 20, 3};
  recipe.logs.folder = "/logs/web/0";
  recipe.status_file = "/attempts/web.0";
  recipe.bell = "/bell";
  recipe.logs.quota = 10 << 20;
  recipe.logs.counter = "/log.used";
  recipe.probe = HttpProbe{31337, "/health", "ok", 200, std::chrono::seconds(1)};
  recipe.on_host = true;
  return recipe;
}

TEST(RecipeCodec, CarriesEveryFieldOfAContainer) {
  const auto decoded = decode_recipe(encode_recipe(full_container()));
  ASSERT_TRUE(decoded) << decoded.error().message();
  const auto& read = std::get<ContainerRecipe>(*decoded);
  EXPECT_EQ(read.root, "/var/lib/dewar/rootfs");
  ASSERT_EQ(read.mounts.size(), 3u);
  EXPECT_EQ(read.mounts[0].source, "/usr");
  EXPECT_TRUE(read.mounts[0].read_only);
  EXPECT_EQ(read.mounts[1].kind, MountKind::kTmpfs);
  EXPECT_EQ(read.mounts[1].options, "mode=1777");
  EXPECT_TRUE(read.mounts[1].optional);
  EXPECT_TRUE(read.mounts[2].devices);
  EXPECT_EQ(read.hostname, "web-7");
  EXPECT_EQ(read.network, Network::kNone);
  EXPECT_EQ(read.v1_roots, full_container().v1_roots);
  EXPECT_EQ(read.v1_cgroups, full_container().v1_cgroups);
}

TEST(RecipeCodec, CarriesEveryFieldOfAnAttempt) {
  const AttemptRecipe written = full_attempt();
  const auto decoded = decode_recipe(encode_recipe(written));
  ASSERT_TRUE(decoded) << decoded.error().message();
  const auto& read = std::get<AttemptRecipe>(*decoded);
  EXPECT_EQ(read.launcher, written.launcher);
  EXPECT_EQ(read.argv, written.argv);
  EXPECT_EQ(read.env, written.env);
  EXPECT_EQ(read.cwd, "/mnt/sandbox");
  EXPECT_EQ(read.user.name, "www-data");
  EXPECT_EQ(read.user.uid, 33u);
  EXPECT_EQ(read.user.gid, 33u);
  EXPECT_EQ(read.user.groups, written.user.groups);
  EXPECT_EQ(read.capabilities, 1u << 10);
  ASSERT_EQ(read.rlimits.size(), 1u);
  EXPECT_EQ(read.rlimits[0].resource, 7);
  EXPECT_EQ(read.rlimits[0].soft, 1024u);
  EXPECT_EQ(read.rlimits[0].hard, ~0ull);
  EXPECT_TRUE(read.deny_speculation);
  EXPECT_EQ(read.seccomp, written.seccomp);
  EXPECT_EQ(read.unified_cgroup, "/u");
  EXPECT_EQ(read.v1_cgroups, written.v1_cgroups);
  EXPECT_EQ(read.sweep_cgroup, "/m");
  EXPECT_EQ(read.logs.policy.destination, LogDestination::kBoth);
  EXPECT_EQ(read.logs.policy.mode, LogMode::kRotate);
  EXPECT_EQ(read.logs.policy.log_size, 1u << 20);
  EXPECT_EQ(read.logs.policy.backups, 3u);
  EXPECT_EQ(read.logs.folder, "/logs/web/0");
  EXPECT_EQ(read.status_file, "/attempts/web.0");
  EXPECT_EQ(read.bell, "/bell");
  EXPECT_EQ(read.logs.quota, 10u << 20);
  EXPECT_EQ(read.logs.counter, "/log.used");
  ASSERT_TRUE(read.probe);
  EXPECT_EQ(read.probe->port, 31337);
  EXPECT_EQ(read.probe->path, "/health");
  EXPECT_EQ(read.probe->expected_body, "ok");
  EXPECT_EQ(read.probe->expected_code, 200u);
  EXPECT_EQ(read.probe->timeout, std::chrono::seconds(1));
  EXPECT_TRUE(read.on_host);
}

class RecipeDamage : public testing::TestWithParam<bool> {
 protected:
  std::string whole() const { return GetParam() ? encode_recipe(full_attempt()) : encode_recipe(full_container()); }
};
INSTANTIATE_TEST_SUITE_P(ContainerAndAttempt, RecipeDamage, testing::Bool());

TEST_P(RecipeDamage, IsRefusedWhenCutOffAtAnyByte) {
  const std::string bytes = whole();
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto decoded = decode_recipe(bytes.substr(0, size));
    ASSERT_FALSE(decoded) << "cut at " << size;
    EXPECT_EQ(decoded.error().code, std::errc::bad_message);
  }
  EXPECT_FALSE(decode_recipe(bytes + "x"));
}

TEST_P(RecipeDamage, IsRefusedWhenAnyBitIsFlipped) {
  const std::string bytes = whole();
  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string damaged = bytes;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    ASSERT_FALSE(decode_recipe(damaged)) << "byte " << bit / 8 << " bit " << bit % 8;
  }
}

/// A recipe around any body, with a checksum that fits.
std::string sealed(const std::string& body) {
  Encoder header;
  header(std::uint32_t{6}, static_cast<std::uint32_t>(body.size()), crc32c(body));
  return "DWRC" + header.take() + body;
}

TEST(RecipeCodec, RefusesAnUnknownKindBehindAGoodChecksum) {
  const auto decoded = decode_recipe(sealed(std::string(1, '\x07')));
  ASSERT_FALSE(decoded);
  EXPECT_NE(decoded.error().message().find("unknown kind"), std::string::npos);
}

TEST(RecipeCodec, RefusesBytesLeftOverBehindAGoodChecksum) {
  EXPECT_FALSE(decode_recipe(sealed(encode_recipe(full_attempt()).substr(16) + "x")));
}

TEST(RecipeCodec, RefusesValuesWithoutAMeaning) {
  AttemptRecipe strange_mode = full_attempt();
  strange_mode.logs.policy.mode = static_cast<LogMode>(9);
  EXPECT_FALSE(decode_recipe(encode_recipe(strange_mode)));
  AttemptRecipe strange_destination = full_attempt();
  strange_destination.logs.policy.destination = static_cast<LogDestination>(9);
  EXPECT_FALSE(decode_recipe(encode_recipe(strange_destination)));
  AttemptRecipe no_program = full_attempt();
  no_program.argv.clear();
  EXPECT_TRUE(decode_recipe(encode_recipe(no_program)));
  no_program.probe->timeout = {};
  EXPECT_FALSE(decode_recipe(encode_recipe(no_program)));
  no_program.probe.reset();
  EXPECT_FALSE(decode_recipe(encode_recipe(no_program)));
  ContainerRecipe strange_mount = full_container();
  strange_mount.mounts[0].kind = static_cast<MountKind>(200);
  EXPECT_FALSE(decode_recipe(encode_recipe(strange_mount)));
  ContainerRecipe strange_network = full_container();
  strange_network.network = static_cast<Network>(3);
  EXPECT_FALSE(decode_recipe(encode_recipe(strange_network)));
}

TEST(RecipeCodec, NamesAVersionItDoesNotKnow) {
  std::string bytes = encode_recipe(full_attempt());
  bytes[4] = 9;
  const auto decoded = decode_recipe(bytes);
  ASSERT_FALSE(decoded);
  EXPECT_NE(decoded.error().message().find("version 9"), std::string::npos);
}

}  // namespace
}  // namespace dewar
