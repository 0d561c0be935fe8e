// Which devices a task may open or make. cgroup v1 has a controller with a list; cgroup2 asks a program of ours. A
// device's node in /dev gives nothing that is not granted here, and neither does one that the task makes itself.
#pragma once

#include <linux/bpf.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "isolation/sandbox_spec.h"

namespace dewar {

struct DeviceGrant {
  bool block = false;
  std::uint32_t major_number = 0;
  std::optional<std::uint32_t> minor_number;  ///< none: all of this major number
  std::string access = "rwm";                 ///< of "r", "w" and "m" (mknod)
};

/// null, zero, full, random, urandom, tty, ptmx and the terminals of pts. See the kernel's admin-guide/devices.txt.
std::vector<DeviceGrant> usual_devices();

/// What the usual devices and these nodes of the host come to. Errors: of stat(2); words for what is no device.
Result<std::vector<DeviceGrant>> grants_for(const std::vector<DeviceRule>& rules);

/// "c 136:* rwm", for devices.allow.
std::string v1_line(const DeviceGrant& grant);

/// Answers 1 for what is granted, 0 for all else (BPF_PROG_TYPE_CGROUP_DEVICE).
Result<std::vector<bpf_insn>> device_program(const std::vector<DeviceGrant>& grants);

}  // namespace dewar
