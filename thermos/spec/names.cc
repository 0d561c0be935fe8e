#include "thermos/spec/names.h"

#include <algorithm>

namespace dewar {
namespace {

constexpr std::size_t kMaxName = 200;
constexpr std::size_t kMaxCmdline = 128u << 10;

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; }

}  // namespace

std::string title_problem(std::string_view name) {
  if (name.empty()) return "is empty";
  if (name.size() > kMaxName) return "is longer than " + std::to_string(kMaxName) + " bytes";
  if (std::any_of(name.begin(), name.end(), is_control)) return "has a control character";
  return {};
}

std::string process_name_problem(std::string_view name) {
  if (std::string problem = title_problem(name); !problem.empty()) return problem;
  if (name.front() == '.') return "must not begin with '.'";
  if (name.find('/') != std::string_view::npos) return "must not have a '/'";
  return {};
}

std::string cmdline_problem(std::string_view cmdline) {
  if (cmdline.find_first_not_of(" \t\r\n") == std::string_view::npos) return "is empty";
  if (cmdline.size() >= kMaxCmdline) return "is 128 KB or longer, more than Linux takes; put it into a script";
  return {};
}

bool is_key_part(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

}  // namespace dewar
