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

std::string uri_problem(std::string_view uri) {
  if (uri.find("{{") != std::string_view::npos) return {};
  if (uri.empty()) return "is empty";
  if (uri.size() > 8192) return "is longer than 8192 bytes";
  const auto odd = [](char c) { return is_control(c) || c == ' ' || c == '\\' || c == '\''; };
  if (std::any_of(uri.begin(), uri.end(), odd)) return "has a space, a control character, a backslash or a quote";
  if (uri.front() == '/') return uri.back() == '/' ? "names a folder; an artifact is a file" : "";
  const std::size_t colon = uri.find("://");
  const auto in_scheme = [](unsigned char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+'; };
  if (colon == std::string_view::npos || colon == 0 || !std::all_of(uri.begin(), uri.begin() + colon, in_scheme))
    return "is no URI: it needs a scheme in front, such as https://";
  const std::string_view rest = uri.substr(colon + 3);
  const std::size_t slash = rest.find('/');
  if (slash == std::string_view::npos || slash + 1 == rest.size()) return "has no path that names a file";
  if (slash == 0 && uri.substr(0, colon) != "file" && uri.substr(0, colon) != "hdfs") return "has no host";
  return {};
}

bool is_inner_path(std::string_view path) {
  if (path.find("{{") != std::string_view::npos) return true;
  if (path.empty() || path.size() > 1024 || path.front() == '/' || path.back() == '/') return false;
  if (std::any_of(path.begin(), path.end(), is_control)) return false;
  const std::string framed = "/" + std::string(path) + "/";
  return framed.find("//") == std::string::npos && framed.find("/./") == std::string::npos &&
         framed.find("/../") == std::string::npos;
}

bool is_key_part(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

}  // namespace dewar
