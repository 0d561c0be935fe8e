#include "isolation/capabilities.h"

#include <gtest/gtest.h>
#include <linux/capability.h>

namespace dewar {
namespace {

std::uint64_t bit(int number) { return std::uint64_t{1} << number; }

TEST(Capabilities, NamesBecomeTheKernelsBits) {
  const auto bits =
      parse_capabilities({"CAP_CHOWN", "CAP_NET_BIND_SERVICE", "CAP_SYS_ADMIN", "CAP_CHECKPOINT_RESTORE"});
  ASSERT_TRUE(bits);
  EXPECT_EQ(*bits, bit(CAP_CHOWN) | bit(CAP_NET_BIND_SERVICE) | bit(CAP_SYS_ADMIN) | bit(CAP_CHECKPOINT_RESTORE));
}

TEST(Capabilities, CaseAndPrefixMayBeLeftOut) {
  EXPECT_EQ(*parse_capabilities({"net_raw"}), bit(CAP_NET_RAW));
  EXPECT_EQ(*parse_capabilities({"cap_Mknod", "SYS_TIME"}), bit(CAP_MKNOD) | bit(CAP_SYS_TIME));
}

TEST(Capabilities, EveryCapabilityOfTheKernelHasAName) {
  EXPECT_EQ(*parse_capabilities({"AUDIT_READ"}), bit(CAP_AUDIT_READ));
  EXPECT_EQ(*parse_capabilities({"BLOCK_SUSPEND"}), bit(CAP_BLOCK_SUSPEND));
  EXPECT_EQ(*parse_capabilities({"SETFCAP"}), bit(CAP_SETFCAP));
  EXPECT_EQ(CAP_LAST_CAP, CAP_CHECKPOINT_RESTORE);
}

TEST(Capabilities, AnUnknownNameIsQuoted) {
  const auto bits = parse_capabilities({"CAP_CHOWN", "CAP_FLY"});
  ASSERT_FALSE(bits);
  EXPECT_NE(bits.error().message().find("'CAP_FLY'"), std::string::npos);
  EXPECT_FALSE(parse_capabilities({""}));
}

TEST(Capabilities, ThoseThatGiveAwayTheHostAreKeptOnlyBehindABorderOrOnPurpose) {
  SandboxSpec sandbox;
  sandbox.keep_capabilities = {"CAP_CHOWN"};
  EXPECT_TRUE(check_kept_capabilities(sandbox));
  sandbox.keep_capabilities.push_back("CAP_SYS_PTRACE");
  const auto checked = check_kept_capabilities(sandbox);
  ASSERT_FALSE(checked);
  EXPECT_EQ(
      checked.error().message(),
      "CAP_SYS_PTRACE would give the task the whole host; with 'user_namespace: true' it ends at the sandbox, and "
      "'seccomp: unconfined' says that the task is trusted");
  sandbox.user_namespace = true;
  EXPECT_TRUE(check_kept_capabilities(sandbox));
  sandbox.user_namespace = false;
  sandbox.seccomp = "/etc/profile.json";
  EXPECT_TRUE(check_kept_capabilities(sandbox));
}

TEST(Capabilities, NoneIsNone) { EXPECT_EQ(*parse_capabilities({}), 0u); }

}  // namespace
}  // namespace dewar
