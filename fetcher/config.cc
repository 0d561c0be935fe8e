#include "fetcher/config.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <functional>
#include <sstream>

#include "base/files.h"
#include "base/units.h"

namespace dewar {
namespace {

constexpr const char* kDefaultPath = "/etc/dewar/fetch.conf";
constexpr std::size_t kMaxSize = 1u << 20;

std::string trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(kBlank) - first + 1));
}

using Take = std::function<Result<void>(const std::string& key, const std::string& value)>;

/// Calls `take` for each line of `key value`.
Result<void> each_line(std::string_view text, bool comments, const Take& take) {
  for (int number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string line = trimmed(text.substr(0, comments ? std::min(text.find('#'), end) : end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line[0] == '#') continue;
    const std::size_t blank = line.find_first_of(" \t");
    const std::string key = line.substr(0, blank);
    const std::string value = blank == std::string::npos ? "" : trimmed(line.substr(blank));
    if (value.empty()) return fail("line " + std::to_string(number) + ": '" + key + "' has no value");
    DEWAR_TRY(take(key, value).context("line " + std::to_string(number)));
  }
  return {};
}

Result<std::uint64_t> whole(const std::string& text) {
  std::uint64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (read.ec != std::errc{} || read.ptr != text.data() + text.size() || value == 0)
    return fail("'" + text + "' is no whole number above 0");
  return value;
}

Result<std::string> absolute(const std::string& path) {
  if (!path.starts_with('/')) return fail("'" + path + "' is no absolute path");
  return path;
}

Result<Duration> span(const std::string& text) {
  const Duration value = DEWAR_TRY(parse_duration(text));
  if (value < std::chrono::milliseconds(1)) return fail("'" + text + "' is too short");
  return value;
}

Result<void> take_helper(const std::string& value, FetchConfig& config) {
  std::istringstream words(value);
  std::string scheme, word;
  words >> scheme;
  std::vector<std::string> command;
  while (words >> word) command.push_back(word);
  if (command.empty() || !command[0].starts_with('/'))
    return fail("'helper' wants a scheme and a command with an absolute path");
  for (const char* ours : {"http", "https", "ftp", "ftps", "file"})
    if (scheme == ours) return fail("'" + scheme + "' needs no helper");
  config.helpers[scheme] = std::move(command);
  return {};
}

/// Anybody may read fetch.conf, and what is wrong in it is told to whoever fetches.
Result<void> take_proxy(const std::string& value, FetchConfig& config) {
  if (value.find('@') != std::string::npos)
    return fail(
        "'proxy' names a user: write user and password into a credential's file and name that as proxy_credential");
  config.proxy = value;
  return {};
}

Result<std::string> credential_name(const std::string& value) {
  if (value.find('/') != std::string::npos) return fail("'" + value + "' is no credential's name");
  return value;
}

Result<void> take(const std::string& key, const std::string& value, FetchConfig& config) {
  if (key == "cache_folder") return config.cache_folder = DEWAR_TRY(absolute(value)), Result<void>();
  if (key == "cache_size") return config.cache_size = DEWAR_TRY(parse_bytes(value)), Result<void>();
  if (key == "credentials") return config.credentials = DEWAR_TRY(absolute(value)), Result<void>();
  if (key == "ca_bundle") return config.ca_bundle = DEWAR_TRY(absolute(value)), Result<void>();
  if (key == "proxy") return take_proxy(value, config);
  if (key == "proxy_credential") return config.proxy_credential = DEWAR_TRY(credential_name(value)), Result<void>();
  if (key == "no_proxy") return config.no_proxy = value, Result<void>();
  if (key == "allow" || key == "deny")
    return config.rules.push_back(DEWAR_TRY(parse_address_rule(value, key == "allow"))), Result<void>();
  if (key == "file") return config.file_folders.push_back(DEWAR_TRY(absolute(value))), Result<void>();
  if (key == "helper") return take_helper(value, config);
  if (key == "tries") return config.tries = DEWAR_TRY(whole(value)), Result<void>();
  if (key == "backoff") return config.backoff = DEWAR_TRY(span(value)), Result<void>();
  if (key == "connect_timeout") return config.connect_timeout = DEWAR_TRY(span(value)), Result<void>();
  if (key == "first_byte_timeout") return config.first_byte_timeout = DEWAR_TRY(span(value)), Result<void>();
  if (key == "stall_timeout") return config.stall_timeout = DEWAR_TRY(span(value)), Result<void>();
  if (key == "stall_rate") return config.stall_rate = DEWAR_TRY(parse_bytes(value)), Result<void>();
  return fail("unknown key '" + key + "'");
}

/// A file whose mode has none of `forbidden`, and, for root, that root owns.
Result<std::string> read_private(const std::string& path, mode_t forbidden) {
  const UniqueFd file = DEWAR_TRY(open_file(path, O_RDONLY | O_NONBLOCK));
  struct stat info {};
  if (::fstat(file.get(), &info) != 0) return fail_errno("read " + path);
  if (!S_ISREG(info.st_mode)) return fail(path + " is no regular file");
  if ((info.st_mode & forbidden) != 0 || (::geteuid() == 0 && info.st_uid != 0))
    return fail(std::errc::operation_not_permitted, path + " can be " + ((forbidden & 0044) != 0 ? "read or " : "") +
                                                        "changed by others than root; make it root's, with mode " +
                                                        ((forbidden & 0044) != 0 ? "0600" : "0644"));
  return read_all(file.get(), path, kMaxSize);
}

}  // namespace

Result<FetchConfig> parse_fetch_config(std::string_view text) {
  FetchConfig config;
  DEWAR_TRY(each_line(text, true,
                      [&](const std::string& key, const std::string& value) { return take(key, value, config); }));
  return config;
}

Result<FetchConfig> load_fetch_config(const std::string& path) {
  const std::string file = path.empty() ? kDefaultPath : path;
  auto text = read_private(file, 0022);
  if (!text && path.empty() && text.error().code == std::errc::no_such_file_or_directory) return FetchConfig{};
  return parse_fetch_config(DEWAR_TRY(std::move(text))).context(file);
}

Result<Credential> parse_credential(std::string_view text) {
  Credential credential;
  DEWAR_TRY(each_line(text, false, [&](const std::string& key, const std::string& value) -> Result<void> {
    if (key == "host") return credential.hosts.push_back(value), Result<void>();
    if (key == "header") {
      if (value.find(':') == std::string::npos) return fail("'header' wants NAME: VALUE");
      return credential.headers.push_back(value), Result<void>();
    }
    if (key == "user") return credential.user = value, Result<void>();
    if (key == "password") return credential.password = value, Result<void>();
    if (key == "plain") return credential.plain = value == "yes", Result<void>();
    return fail("unknown key '" + key + "'");
  }));
  if (credential.hosts.empty()) return fail("it names no 'host' that it may be sent to");
  return credential;
}

Result<Credential> load_credential(const std::string& folder, const std::string& name) {
  const std::string path = folder + "/" + name;
  const std::string text = DEWAR_TRY(read_private(path, 0077));
  return parse_credential(text).context(path);
}

Result<Credential> load_proxy_credential(const FetchConfig& config) {
  auto credential = load_credential(config.credentials, config.proxy_credential).context("proxy_credential");
  if (credential && credential->user.empty())
    return fail("proxy_credential " + config.proxy_credential + ": it names no 'user'");
  return credential;
}

}  // namespace dewar
