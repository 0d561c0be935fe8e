#pragma once

#include <string>

#include "base/result.h"

namespace dewar {

/// The absolute path of one of our own programs: beside the one that asks, or in ../libexec/dewar. Errors: ENOENT.
Result<std::string> find_own_program(const std::string& name);

}  // namespace dewar
