// What the operator decides about fetching, on this host: `/etc/dewar/fetch.conf`. docs/fetcher.md has the table.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "fetcher/address_rules.h"

namespace dewar {

struct FetchConfig {
  std::string cache_folder = "/var/cache/dewar/fetch";
  std::uint64_t cache_size = std::uint64_t{10} << 30;  ///< bytes; 0: no cache
  std::string credentials = "/etc/dewar/credentials";  ///< folder of files that only root reads
  std::string ca_bundle;                               ///< PEM; empty: the host's
  std::string proxy, no_proxy;                         ///< as curl(1) takes them, without user and password
  std::string proxy_credential;                        ///< a name: user and password for the proxy
  std::vector<AddressRule> rules;                      ///< before the usual ones; the first that fits decides
  std::vector<std::string> file_folders;               ///< below which file:// may read; empty: what the user may read
  /// Scheme -> command whose output is the file; "{uri}" in it becomes the URI.
  std::map<std::string, std::vector<std::string>> helpers;
  std::uint64_t tries = 3;                            ///< of each URI
  Duration backoff = std::chrono::milliseconds(500);  ///< before the second try; doubles, with jitter
  Duration connect_timeout = std::chrono::seconds(10), first_byte_timeout = std::chrono::seconds(60),
           stall_timeout = std::chrono::seconds(60);
  std::uint64_t stall_rate = 1024;  ///< bytes a second: slower than this for stall_timeout is a stall
};

/// Lines of `key value`; '#' begins a comment. Errors: "line 3: …".
Result<FetchConfig> parse_fetch_config(std::string_view text);

/// Reads the file; empty: /etc/dewar/fetch.conf, which need not be there. Errors: as root, a file that others could
/// have written (EPERM).
Result<FetchConfig> load_fetch_config(const std::string& path);

/// One secret, from a file of lines `key value`: `host NAME` (as often as wanted: where it may be sent, and nowhere
/// else), `header NAME: VALUE`, `user NAME`, `password WORD`, `plain yes` (also without TLS).
struct Credential {
  std::vector<std::string> hosts;
  std::vector<std::string> headers;
  std::string user, password;
  bool plain = false;
};

Result<Credential> parse_credential(std::string_view text);
/// Errors: EPERM if others than its owner could read or write it.
Result<Credential> load_credential(const std::string& folder, const std::string& name);
/// The one that the operator's file names. Errors: as above; one without a user.
Result<Credential> load_proxy_credential(const FetchConfig& config);

}  // namespace dewar
