// The bytes of one artifact: tries, mirrors, resuming, and the pipeline that they go through.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "fetcher/config.h"
#include "fetcher/parts.h"
#include "fetcher/reporter.h"

namespace dewar {

struct DownloadOrder {
  const Artifact& artifact;
  const FetchConfig& config;
  const PartUser& user;
  Reporter& reporter;
  Time deadline{};
  bool loopback = false;
  Credential credential = {}, proxy_credential = {};
  /// Makes the file that the bytes go to, empty, for each beginning; none for what is only unpacked.
  std::function<Result<UniqueFd>()> make_file = {};
  std::uint64_t room = 0;                     ///< bytes that fit where they go
  bool with_keeper = true;                    ///< false: no digest is wanted; the transfer writes the file itself
  const UniqueFd* unpack_into = nullptr;      ///< unpacked while it comes
  std::string name = {};                      ///< of the file, for the unpacker
  std::string etag = {}, last_modified = {};  ///< of what the cache holds: only what differs is to come
};

struct Downloaded {
  bool unchanged = false;  ///< what the cache holds is still good
  UniqueFd file = {};
  std::string sha256 = {}, sha512 = {};  ///< as asked for; computed by the keeper
  std::uint64_t bytes = 0, files = 0;
  std::string etag = {}, last_modified = {}, from = {};
};

/// Returns once all bytes are there, are the right ones by the artifact's digests, and (unpack_into) are unpacked.
/// Errors: words for a person that begin with the URI, without secrets.
Result<Downloaded> download(const DownloadOrder& order);

}  // namespace dewar
