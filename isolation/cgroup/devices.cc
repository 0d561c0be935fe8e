#include "isolation/cgroup/devices.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cstddef>

#include "isolation/bpf.h"

namespace dewar {
namespace {

constexpr std::uint32_t kAllAccess = BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE;

std::uint32_t access_bits(const std::string& letters) {
  std::uint32_t bits = 0;
  for (const char letter : letters)
    bits |= letter == 'r' ? BPF_DEVCG_ACC_READ : letter == 'w' ? BPF_DEVCG_ACC_WRITE : BPF_DEVCG_ACC_MKNOD;
  return bits;
}

}  // namespace

std::vector<DeviceGrant> usual_devices() {
  std::vector<DeviceGrant> grants;
  for (const std::uint32_t memory : {3, 5, 7, 8, 9}) grants.push_back({false, 1, memory});
  grants.push_back({false, 5, 0});
  grants.push_back({false, 5, 2});
  grants.push_back({false, 136, std::nullopt});
  return grants;
}

Result<std::vector<DeviceGrant>> grants_for(const std::vector<DeviceRule>& rules) {
  std::vector<DeviceGrant> grants = usual_devices();
  for (const DeviceRule& rule : rules) {
    struct stat info {};
    if (::stat(rule.path.c_str(), &info) != 0) return fail_errno("find device " + rule.path);
    if (!S_ISCHR(info.st_mode) && !S_ISBLK(info.st_mode)) return fail(rule.path + " is no device");
    grants.push_back({S_ISBLK(info.st_mode), major(info.st_rdev), minor(info.st_rdev), rule.access});
  }
  return grants;
}

std::string v1_line(const DeviceGrant& grant) {
  return (grant.block ? "b " : "c ") + std::to_string(grant.major_number) + ":" +
         (grant.minor_number ? std::to_string(*grant.minor_number) : "*") + " " + grant.access;
}

Result<std::vector<bpf_insn>> device_program(const std::vector<DeviceGrant>& grants) {
  constexpr int kContext = 1, kKind = 2, kAccess = 3, kMajor = 4, kMinor = 5, kBeyond = 6;
  BpfAssembler code;
  code.load(kKind, kContext, offsetof(bpf_cgroup_dev_ctx, access_type), 4);
  code.load(kMajor, kContext, offsetof(bpf_cgroup_dev_ctx, major), 4);
  code.load(kMinor, kContext, offsetof(bpf_cgroup_dev_ctx, minor), 4);
  code.copy(kAccess, kKind).shift_right(kAccess, 16).bit_and(kKind, 0xffff);
  for (const DeviceGrant& grant : grants) {
    const auto next = code.make_label();
    code.jump_unless_equal(kKind, grant.block ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR, next);
    code.jump_unless_equal(kMajor, grant.major_number, next);
    if (grant.minor_number) code.jump_unless_equal(kMinor, *grant.minor_number, next);
    const std::uint32_t refused = kAllAccess & ~access_bits(grant.access);
    if (refused != 0) code.copy(kBeyond, kAccess).bit_and(kBeyond, refused).jump_unless_equal(kBeyond, 0, next);
    code.answer(1).place(next);
  }
  code.answer(0);
  return code.take();
}

}  // namespace dewar
