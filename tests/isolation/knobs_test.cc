#include "isolation/cgroup/knobs.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <map>

namespace dewar {
namespace {

/// File -> text, for all knobs of a version.
std::map<std::string, std::string> texts(CgroupVersion version, const Limits& limits) {
  std::map<std::string, std::string> all;
  for (const Knob& knob : knobs()) {
    const KnobForm& form = knob.form(version);
    if (form.file != nullptr) all[form.file] = form.text(limits);
  }
  return all;
}

Limits read_back(CgroupVersion version, const std::map<std::string, std::string>& files) {
  Limits limits;
  for (const Knob& knob : knobs()) {
    const KnobForm& form = knob.form(version);
    if (form.file != nullptr) form.read(files.at(form.file) + "\n", limits);
  }
  return limits;
}

Limits some_limits() {
  Limits limits;
  limits.cpu = 1.5;
  limits.cpu_quota = 2.25;
  limits.memory = 64u << 20;
  limits.swap = 16u << 20;
  limits.pids = 100;
  return limits;
}

TEST(Knobs, SpellLimitsForV1) {
  const std::map<std::string, std::string> expected = {{"cpu.shares", "1536"},
                                                       {"cpu.cfs_quota_us", "225000"},
                                                       {"memory.limit_in_bytes", "67108864"},
                                                       {"memory.memsw.limit_in_bytes", "83886080"},
                                                       {"pids.max", "100"}};
  EXPECT_EQ(texts(CgroupVersion::kV1, some_limits()), expected);
}

TEST(Knobs, SpellLimitsForV2) {
  const std::map<std::string, std::string> expected = {{"cpu.weight", "150"},      {"cpu.max", "225000 100000"},
                                                       {"memory.max", "67108864"}, {"memory.swap.max", "16777216"},
                                                       {"pids.max", "100"},        {"memory.oom.group", "1"}};
  EXPECT_EQ(texts(CgroupVersion::kV2, some_limits()), expected);
}

TEST(Knobs, NoLimitsAreTheKernelsDefaults) {
  const std::map<std::string, std::string> v1 = {{"cpu.shares", "1024"},
                                                 {"cpu.cfs_quota_us", "-1"},
                                                 {"memory.limit_in_bytes", "-1"},
                                                 {"memory.memsw.limit_in_bytes", "-1"},
                                                 {"pids.max", "max"}};
  const std::map<std::string, std::string> v2 = {{"cpu.weight", "100"}, {"cpu.max", "max 100000"},
                                                 {"memory.max", "max"}, {"memory.swap.max", "max"},
                                                 {"pids.max", "max"},   {"memory.oom.group", "0"}};
  EXPECT_EQ(texts(CgroupVersion::kV1, {}), v1);
  EXPECT_EQ(texts(CgroupVersion::kV2, {}), v2);
}

TEST(Knobs, AMemoryLimitWithoutSwapAllowsNone) {
  Limits limits;
  limits.memory = 1u << 20;
  EXPECT_EQ(texts(CgroupVersion::kV1, limits)["memory.memsw.limit_in_bytes"], "1048576");
  EXPECT_EQ(texts(CgroupVersion::kV2, limits)["memory.swap.max"], "0");
}

TEST(Knobs, TinyAndHugeCpuStaysInTheKernelsRange) {
  Limits limits;
  limits.cpu = limits.cpu_quota = 0.0001;
  EXPECT_EQ(texts(CgroupVersion::kV1, limits)["cpu.shares"], "2");
  EXPECT_EQ(texts(CgroupVersion::kV1, limits)["cpu.cfs_quota_us"], "1000");
  EXPECT_EQ(texts(CgroupVersion::kV2, limits)["cpu.weight"], "1");
  EXPECT_EQ(texts(CgroupVersion::kV2, limits)["cpu.max"], "1000 100000");
  limits.cpu = 1000;
  EXPECT_EQ(texts(CgroupVersion::kV2, limits)["cpu.weight"], "10000");
}

TEST(Knobs, WhatWasWrittenIsReadBack) {
  for (const CgroupVersion version : {CgroupVersion::kV1, CgroupVersion::kV2}) {
    const Limits back = read_back(version, texts(version, some_limits()));
    EXPECT_DOUBLE_EQ(back.cpu, 1.5);
    EXPECT_DOUBLE_EQ(back.cpu_quota, 2.25);
    EXPECT_EQ(back.memory, 64u << 20);
    EXPECT_EQ(back.swap, 16u << 20);
    EXPECT_EQ(back.pids, 100u);
  }
}

TEST(Knobs, TheKernelsWordsForNoLimitAreReadAsNone) {
  const Limits v1 = read_back(CgroupVersion::kV1, {{"cpu.shares", "1024"},
                                                   {"cpu.cfs_quota_us", "-1"},
                                                   {"memory.limit_in_bytes", "9223372036854771712"},
                                                   {"memory.memsw.limit_in_bytes", "9223372036854771712"},
                                                   {"pids.max", "max"}});
  EXPECT_EQ(v1.cpu_quota, 0);
  EXPECT_EQ(v1.memory, 0u);
  EXPECT_EQ(v1.swap, 0u);
  EXPECT_EQ(v1.pids, 0u);
  EXPECT_EQ(v1.cpu, 1);
}

TEST(Knobs, OnlyAskedForLimitsAreWanted) {
  for (const Knob& knob : knobs()) EXPECT_FALSE(knob.wanted({})) << knob.what;
  Limits memory;
  memory.memory = 1;
  for (const Knob& knob : knobs()) EXPECT_EQ(knob.wanted(memory), std::string(knob.what) == "limiting memory");
}

TEST(Knobs, AdviceSaysWhatToDo) {
  for (const Knob& knob : knobs()) {
    EXPECT_NE(knob_advice(knob, EBUSY), "");
    EXPECT_NE(knob_advice(knob, EACCES), "");
  }
  EXPECT_NE(knob_advice(knobs()[3], ENOENT).find("swapaccount=1"), std::string::npos);
}

}  // namespace
}  // namespace dewar
