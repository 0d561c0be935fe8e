// Whom a task's processes run as, by the host's accounts.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "isolation/sandbox_spec.h"

namespace dewar {

/// By the host's name services. Errors: words.
Result<User> look_up_user(const std::string& name);

/// What the name services tell of a user if `folder`/passwd and `folder`/group are all they have. Nothing if he is not
/// there or they cannot be read.
std::optional<User> user_in_files(const std::string& folder, const std::string& name);

}  // namespace dewar
