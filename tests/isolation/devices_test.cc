#include "isolation/cgroup/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/isolation/bpf_machine.h"

namespace dewar {
namespace {

using ::testing::HasSubstr;

bool allows(const std::vector<DeviceGrant>& grants, bool block, std::uint32_t major, std::uint32_t minor,
            std::uint32_t access) {
  const auto code = device_program(grants);
  EXPECT_TRUE(code) << code.error().message();
  const std::uint32_t kind = block ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
  return run_bpf(*code, bpf_cgroup_dev_ctx{access << 16 | kind, major, minor}) == 1;
}

constexpr std::uint32_t kMake = BPF_DEVCG_ACC_MKNOD, kRead = BPF_DEVCG_ACC_READ, kWrite = BPF_DEVCG_ACC_WRITE;

TEST(Devices, TheUsualOnesAndNothingElse) {
  const auto usual = usual_devices();
  EXPECT_TRUE(allows(usual, false, 1, 3, kRead | kWrite)) << "null";
  EXPECT_TRUE(allows(usual, false, 1, 9, kMake)) << "urandom";
  EXPECT_TRUE(allows(usual, false, 136, 77, kRead | kWrite)) << "a terminal of pts";
  EXPECT_FALSE(allows(usual, false, 1, 1, kRead)) << "mem";
  EXPECT_FALSE(allows(usual, false, 1, 11, kRead)) << "kmsg";
  EXPECT_FALSE(allows(usual, false, 5, 1, kRead)) << "console";
  EXPECT_FALSE(allows(usual, true, 1, 3, kRead)) << "a block device of the same number";
  EXPECT_FALSE(allows(usual, true, 8, 0, kMake));
  EXPECT_FALSE(allows(usual, false, 10, 229, kRead)) << "fuse";
}

TEST(Devices, AGrantGivesOnlyItsAccess) {
  const std::vector<DeviceGrant> grants = {{true, 8, 1, "r"}, {false, 10, 229, "wm"}};
  EXPECT_TRUE(allows(grants, true, 8, 1, kRead));
  EXPECT_FALSE(allows(grants, true, 8, 1, kRead | kWrite));
  EXPECT_FALSE(allows(grants, true, 8, 1, kMake));
  EXPECT_FALSE(allows(grants, true, 8, 2, kRead));
  EXPECT_TRUE(allows(grants, false, 10, 229, kWrite));
  EXPECT_TRUE(allows(grants, false, 10, 229, kMake));
  EXPECT_FALSE(allows(grants, false, 10, 229, kRead));
}

TEST(Devices, AreSpelledForV1) {
  EXPECT_EQ(v1_line({false, 136, std::nullopt, "rwm"}), "c 136:* rwm");
  EXPECT_EQ(v1_line({true, 8, 16, "r"}), "b 8:16 r");
}

TEST(Devices, ANodeIsLookedUpAndAFileIsNone) {
  const auto grants = grants_for({{"/dev/null", "r"}});
  ASSERT_TRUE(grants) << grants.error().message();
  EXPECT_EQ(v1_line(grants->back()), "c 1:3 r");
  EXPECT_EQ(grants_for({{"/etc/passwd", "r"}}).error().message(), "/etc/passwd is no device");
  EXPECT_THAT(grants_for({{"/dev/nonexistent", "r"}}).error().message(), HasSubstr("No such file"));
}

}  // namespace
}  // namespace dewar
