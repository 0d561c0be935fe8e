#pragma once

#include <string>

#include "base/result.h"
#include "isolation/seccomp/policy.h"

namespace dewar {

/// Compiles to classic BPF, `struct sock_filter[]` as bytes. Neighbouring numbers with the same answer are one leaf of
/// a binary tree, so a call costs some seven comparisons; the kernel remembers numbers that are always allowed (since
/// Linux 5.11) and does not even ask. Pure. Errors: E2BIG if it is longer than the kernel takes (BPF_MAXINSNS).
Result<std::string> compile_bpf(const Policy& policy);

}  // namespace dewar
