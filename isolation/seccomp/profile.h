#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace dewar {

/// Compiles a profile ("default" or "unconfined") to classic BPF, `struct sock_filter[]` as bytes; empty for
/// unconfined. With libseccomp; the launcher only loads the result. Errors: EINVAL for an unknown name, with the known
/// ones.
Result<std::string> compile_seccomp(std::string_view profile);

}  // namespace dewar
