// The words for how a process ended: one source for records, tables and explanations.
#pragma once

#include <string>
#include <vector>

namespace dewar {

/// 15 -> "SIGTERM"; "signal 70" for a number without a name.
std::string signal_name(int signal);

/// `code` is an exit status, or minus the number of a signal: "exit status 3", "killed by SIGTERM (15)", "exit status
/// 137 (from a shell: SIGKILL)".
std::string code_words(int code);

/// "a", "a and b", "a, b, c and 2 more", with " was" or " were" behind it.
std::string subject_words(const std::vector<std::string>& names);

}  // namespace dewar
