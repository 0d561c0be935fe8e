#include "isolation/cgroup/knobs.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <map>

#include "base/cpu_list.h"

namespace dewar {
namespace {

const std::string kSize = "2MB";

/// File -> text, for all knobs of a version.
std::map<std::string, std::string> texts(CgroupVersion version, const Limits& limits) {
  std::map<std::string, std::string> all;
  for (const Knob& knob : knobs()) {
    const KnobForm& form = knob.form(version);
    if (form.file != nullptr) all[knob_file(form, kSize)] = form.text(limits, kSize);
  }
  return all;
}

Limits read_back(CgroupVersion version, const std::map<std::string, std::string>& files) {
  Limits limits;
  for (const Knob& knob : knobs()) {
    const KnobForm& form = knob.form(version);
    if (form.file != nullptr) form.read(files.at(knob_file(form, kSize)) + "\n", limits, kSize);
  }
  return limits;
}

Limits some_limits() {
  Limits limits;
  limits.cpu = 1.5;
  limits.cpu_quota = 2.25;
  limits.cpuset = "0-3,8";
  limits.memory = 64u << 20;
  limits.memory_soft = 32u << 20;
  limits.swap = 16u << 20;
  limits.hugetlb["2MB"] = 4u << 20;
  limits.pids = 100;
  limits.io = {200, 1000, 2000, 0, 40, "8:0"};
  return limits;
}

TEST(Knobs, SpellLimitsForV1) {
  const std::map<std::string, std::string> expected = {{"cpu.shares", "1536"},
                                                       {"cpu.cfs_period_us", "100000"},
                                                       {"cpu.cfs_quota_us", "225000"},
                                                       {"cpuset.cpus", "0-3,8"},
                                                       {"memory.soft_limit_in_bytes", "33554432"},
                                                       {"memory.limit_in_bytes", "67108864"},
                                                       {"memory.memsw.limit_in_bytes", "83886080"},
                                                       {"hugetlb.2MB.limit_in_bytes", "4194304"},
                                                       {"hugetlb.2MB.rsvd.limit_in_bytes", "4194304"},
                                                       {"pids.max", "100"},
                                                       {"blkio.bfq.weight", "200"},
                                                       {"blkio.throttle.read_bps_device", "8:0 1000"},
                                                       {"blkio.throttle.write_bps_device", "8:0 2000"},
                                                       {"blkio.throttle.read_iops_device", "8:0 0"},
                                                       {"blkio.throttle.write_iops_device", "8:0 40"}};
  EXPECT_EQ(texts(CgroupVersion::kV1, some_limits()), expected);
}

TEST(Knobs, SpellLimitsForV2) {
  const std::map<std::string, std::string> expected = {{"cpu.weight", "150"},
                                                       {"cpu.max", "225000 100000"},
                                                       {"cpuset.cpus", "0-3,8"},
                                                       {"memory.high", "33554432"},
                                                       {"memory.max", "67108864"},
                                                       {"memory.swap.max", "16777216"},
                                                       {"hugetlb.2MB.max", "4194304"},
                                                       {"hugetlb.2MB.rsvd.max", "4194304"},
                                                       {"pids.max", "100"},
                                                       {"memory.oom.group", "1"},
                                                       {"io.weight", "default 200"},
                                                       {"io.bfq.weight", "default 200"},
                                                       {"io.max", "8:0 rbps=1000 wbps=2000 riops=max wiops=40"}};
  EXPECT_EQ(texts(CgroupVersion::kV2, some_limits()), expected);
}

TEST(Knobs, NoLimitsAreTheKernelsDefaults) {
  const std::map<std::string, std::string> v1 = {{"cpu.shares", "1024"},
                                                 {"cpu.cfs_period_us", "100000"},
                                                 {"cpu.cfs_quota_us", "-1"},
                                                 {"cpuset.cpus", ""},
                                                 {"memory.soft_limit_in_bytes", "-1"},
                                                 {"memory.limit_in_bytes", "-1"},
                                                 {"memory.memsw.limit_in_bytes", "-1"},
                                                 {"hugetlb.2MB.limit_in_bytes", "-1"},
                                                 {"hugetlb.2MB.rsvd.limit_in_bytes", "-1"},
                                                 {"pids.max", "max"},
                                                 {"blkio.bfq.weight", "100"},
                                                 {"blkio.throttle.read_bps_device", ""},
                                                 {"blkio.throttle.write_bps_device", ""},
                                                 {"blkio.throttle.read_iops_device", ""},
                                                 {"blkio.throttle.write_iops_device", ""}};
  const std::map<std::string, std::string> v2 = {
      {"cpu.weight", "100"}, {"cpu.max", "max 100000"},  {"cpuset.cpus", ""},          {"memory.high", "max"},
      {"memory.max", "max"}, {"memory.swap.max", "max"}, {"hugetlb.2MB.max", "max"},   {"hugetlb.2MB.rsvd.max", "max"},
      {"pids.max", "max"},   {"memory.oom.group", "0"},  {"io.weight", "default 100"}, {"io.bfq.weight", "default 100"},
      {"io.max", ""}};
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
    EXPECT_EQ(back.cpuset, "0-3,8");
    EXPECT_EQ(back.memory, 64u << 20);
    EXPECT_EQ(back.memory_soft, 32u << 20);
    EXPECT_EQ(back.swap, 16u << 20);
    EXPECT_EQ(back.hugetlb, some_limits().hugetlb);
    EXPECT_EQ(back.pids, 100u);
    EXPECT_EQ(back.io.weight, 200u);
    EXPECT_EQ(back.io.device, "8:0");
    EXPECT_EQ(back.io.read_bps, 1000u);
    EXPECT_EQ(back.io.write_bps, 2000u);
    EXPECT_EQ(back.io.read_iops, 0u);
    EXPECT_EQ(back.io.write_iops, 40u);
  }
}

TEST(Knobs, TheKernelsWordsForNoLimitAreReadAsNone) {
  auto files = texts(CgroupVersion::kV1, {});
  for (const char* file : {"memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.soft_limit_in_bytes"})
    files[file] = "9223372036854771712";
  files["hugetlb.2MB.limit_in_bytes"] = "9223372036852678656";
  const Limits v1 = read_back(CgroupVersion::kV1, files);
  EXPECT_EQ(v1.cpu_quota, 0);
  EXPECT_EQ(v1.memory, 0u);
  EXPECT_EQ(v1.memory_soft, 0u);
  EXPECT_EQ(v1.swap, 0u);
  EXPECT_EQ(v1.pids, 0u);
  EXPECT_EQ(v1.cpu, 1);
  EXPECT_TRUE(v1.hugetlb.empty());
  EXPECT_EQ(v1.io.device, "");
}

TEST(Knobs, AQuotaOfAnotherPeriodIsReadAsItActs) {
  auto files = texts(CgroupVersion::kV2, {});
  files["cpu.max"] = "25000 50000";
  EXPECT_DOUBLE_EQ(read_back(CgroupVersion::kV2, files).cpu_quota, 0.5);
}

TEST(Knobs, OfADevicesLinesOursCounts) {
  Limits limits;
  limits.io.device = "8:0";
  const auto value = [&](const char* file, std::string_view content) {
    for (const Knob& knob : knobs()) {
      for (const KnobForm& form : {knob.v1, knob.v2}) {
        if (form.file != nullptr && std::string_view(form.file) == file) return knob_value(knob, form, content, limits);
      }
    }
    return std::string("no such knob");
  };
  EXPECT_EQ(value("io.max", "8:16 rbps=1 wbps=max riops=max wiops=max\n8:0 rbps=2 wbps=max riops=max wiops=max\n"),
            "8:0 rbps=2 wbps=max riops=max wiops=max");
  EXPECT_EQ(value("io.max", ""), "8:0 rbps=max wbps=max riops=max wiops=max");
  EXPECT_EQ(value("blkio.throttle.read_bps_device", "8:16 5\n"), "8:0 0");
  EXPECT_EQ(value("io.weight", "default 100\n8:0 50\n"), "default 100");
  EXPECT_EQ(value("cpu.max", "max 100000\n"), "max 100000");
  EXPECT_EQ(value("hugetlb.*.max", "9223372036854710272\n"), "max") << "as it is before it was written to";
  EXPECT_EQ(value("memory.limit_in_bytes", "9223372036854771712\n"), "-1");
}

TEST(Knobs, OnlyAskedForLimitsAreWanted) {
  for (const Knob& knob : knobs()) EXPECT_FALSE(knob.wanted({}, kSize)) << knob.what;
  Limits memory;
  memory.memory = 1;
  for (const Knob& knob : knobs()) EXPECT_EQ(knob.wanted(memory, kSize), std::string(knob.what) == "limiting memory");
}

TEST(Knobs, AdviceSaysWhatToDo) {
  for (const Knob& knob : knobs()) {
    EXPECT_NE(knob_advice(knob, EBUSY), "");
    EXPECT_NE(knob_advice(knob, EACCES), "");
    const std::string missing = knob_advice(knob, ENOENT), what = knob.what;
    EXPECT_EQ(missing.find("swapaccount=1") != std::string::npos, what == "limiting swap") << what;
    EXPECT_EQ(missing.find("'bfq'") != std::string::npos, what == "weighing io") << what;
    EXPECT_NE(missing, "") << what;
  }
}

TEST(Knobs, PageSizesAreSpeltAsTheKernelDoes) {
  EXPECT_EQ(page_size_name("hugepages-64kB"), "64KB");
  EXPECT_EQ(page_size_name("hugepages-2048kB"), "2MB");
  EXPECT_EQ(page_size_name("hugepages-1048576kB"), "1GB");
  EXPECT_EQ(page_size_name("hugepages-kB"), "");
  EXPECT_EQ(page_size_name("elsewhere"), "");
}

TEST(CpuList, IsReadOrRefused) {
  EXPECT_EQ(parse_cpu_list("0-2,8\n"), (std::vector{0, 1, 2, 8}));
  EXPECT_EQ(parse_cpu_list("5"), std::vector{5});
  for (const char* bad : {"", ",", "0,", "-1", "a", "2-1", "0-", "0 1", "0-99999999", "0--1", "0-1-2"})
    EXPECT_TRUE(parse_cpu_list(bad).empty()) << bad;
}

TEST(CpuList, ACoreThatIsNotOnlineIsNamed) {
  EXPECT_TRUE(check_cpuset("0,2", "0-3\n"));
  EXPECT_EQ(check_cpuset("0-5", "0-3\n").error().message(), "cpuset '0-5': this host has no core 4 (online: 0-3)");
  EXPECT_EQ(check_cpuset("x", "0-3\n").error().message(), "cpuset 'x' is no list of cores, like 0-3,8");
}

}  // namespace
}  // namespace dewar
