#include "thermos/explain/words.h"

#include <string.h>  // sigabbrev_np is not in <cstring>

#include <algorithm>
#include <csignal>

namespace dewar {
namespace {

constexpr std::size_t kNamesTold = 3;

std::string exit_words(int status) {
  std::string words = "exit status " + std::to_string(status);
  if (status == 126) return words + ": command cannot be executed";
  if (status == 127) return words + ": command not found";
  // What a shell makes of a command that a signal ended.
  if (status > 128 && status < 128 + NSIG) return words + " (from a shell: " + signal_name(status - 128) + ")";
  return words;
}

}  // namespace

std::string signal_name(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name ? "SIG" + std::string(name) : "signal " + std::to_string(signal);
}

std::string code_words(int code) {
  if (code >= 0) return exit_words(code);
  const std::string name = signal_name(-code);
  return "killed by " + name + (name.starts_with("SIG") ? " (" + std::to_string(-code) + ")" : "");
}

std::string subject_words(const std::vector<std::string>& names) {
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), kNamesTold); ++i) {
    const bool last = i + 1 == names.size();
    out += (i == 0 ? "" : last ? " and " : ", ") + names[i];
  }
  if (names.size() > kNamesTold) out += " and " + std::to_string(names.size() - kNamesTold) + " more";
  return out + (names.size() == 1 ? " was" : " were");
}

}  // namespace dewar
