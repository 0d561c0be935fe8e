// What a task wants fetched. The one part of the fetcher that task files, plans and runners know.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"

namespace dewar {

/// Whether an archive is unpacked. Its format is told by its bytes, never by its name.
enum class Unpack : std::uint8_t {
  kByName,  ///< if its name ends as archives' names do (docs/fetcher.md)
  kAlways,
  kNever,
};

enum class CacheUse : std::uint8_t {
  kWithDigest,  ///< if a digest is given
  kYes,         ///< without a digest: asks the server whether what was kept is still good
  kNo,
};

/// One thing to fetch into a task's sandbox; Mesos's CommandInfo.URI, and what that lacks. Immutable.
struct Artifact {
  std::string uri;
  std::vector<std::string> mirrors;  ///< other URIs of the same bytes, tried in this order
  std::string sha256, sha512;        ///< lower-case hexadecimal; empty: not checked
  std::string output_file;           ///< path in the sandbox; empty: the last part of the URI's path
  std::string into;                  ///< folder in the sandbox that an archive is unpacked into; empty: the sandbox
  Unpack extract = Unpack::kByName;
  bool executable = false;  ///< mode 0755, and never unpacked
  CacheUse cache = CacheUse::kWithDigest;
  std::map<std::string, std::string> headers;       ///< sent to the URI's and the mirrors' hosts only
  std::string credential;                           ///< name of a file of secrets that only root reads
  Duration timeout = std::chrono::minutes(30);      ///< for all tries together
  std::uint64_t max_size = std::uint64_t{1} << 40;  ///< bytes that may arrive
};

template <class Coder>
void code(Coder& c, Artifact& v) {
  c(v.uri, v.mirrors, v.sha256, v.sha512, v.output_file, v.into, v.extract, v.executable, v.cache, v.headers,
    v.credential, v.timeout, v.max_size);
}

}  // namespace dewar
