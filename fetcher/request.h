// The messages between dewar-fetch and whoever starts it, as documents of the plain binary form (docs/formats.md).
#pragma once

#include <linux/capability.h>
#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/encoding.h"
#include "base/result.h"
#include "fetcher/artifact.h"

namespace dewar {

/// What dewar-fetch itself can use: to become the task's user and to end its parts, to find its way to folders that are
/// not root's, and to link an entry of the cache, which is root's, into a folder as the task's user.
constexpr std::uint64_t kFetchCapabilities =
    1ull << CAP_SETUID | 1ull << CAP_SETGID | 1ull << CAP_KILL | 1ull << CAP_DAC_READ_SEARCH | 1ull << CAP_FOWNER;

/// One set of artifacts for one folder. Holds no secret: credentials are names.
struct FetchRequest {
  std::string name;         ///< of the process, for messages
  std::string folder;       ///< the sandbox; exists
  std::string status_file;  ///< replaced as things go on; empty: nobody looks
  std::string config;       ///< the operator's file, see fetcher/config.h
  uid_t uid = 0;            ///< whom the files belong to and as whom the network is used
  gid_t gid = 0;
  std::vector<gid_t> groups;
  bool loopback = false;     ///< the host's loopback addresses may be fetched from
  bool tell_digest = false;  ///< the SHA-256 of everything, also where nothing needs it
  std::vector<Artifact> artifacts;
};

enum class FetchStage : std::uint8_t { kWaiting, kLoading, kUnpacking, kDone, kFailed };

/// What has become of one artifact.
struct FetchedItem {
  std::string uri;     ///< without secrets
  std::string path;    ///< of the file, or of the folder it was unpacked into; in the sandbox
  std::string sha256;  ///< of the bytes that came; empty if nobody asked for it
  std::uint64_t bytes = 0;
  std::uint64_t files = 0;  ///< unpacked
  double seconds = 0;
  std::string from;  ///< "cache", or the address that it came from
};

struct FetchStatus {
  std::int32_t run = 0;  ///< of the process
  FetchStage stage = FetchStage::kWaiting;
  std::uint32_t index = 0, count = 0;  ///< which artifact of how many
  std::string uri;                     ///< without secrets
  std::uint64_t bytes = 0, total = 0;  ///< of this artifact; total 0: not known
  double rate = 0;                     ///< bytes a second, of late
  std::string words;                   ///< kFailed: why; else what is waited for, or nothing
  std::vector<FetchedItem> items;      ///< that are done
};

template <class Coder>
void code(Coder& c, FetchRequest& v) {
  c(v.name, v.folder, v.status_file, v.config, v.uid, v.gid, v.groups, v.loopback, v.tell_digest, v.artifacts);
}
template <class Coder>
void code(Coder& c, FetchedItem& v) {
  c(v.uri, v.path, v.sha256, v.bytes, v.files, v.seconds, v.from);
}
template <class Coder>
void code(Coder& c, FetchStatus& v) {
  c(v.run, v.stage, v.index, v.count, v.uri, v.bytes, v.total, v.rate, v.words, v.items);
}

std::string encode_fetch_request(const FetchRequest& request);
/// Errors: EBADMSG, with the words what does not fit.
Result<FetchRequest> decode_fetch_request(std::string_view bytes);
std::string encode_fetch_status(const FetchStatus& status);
Result<FetchStatus> decode_fetch_status(std::string_view bytes);

/// "svc.tgz: 45 % of 300.0 MB, 120.0 MB/s, 2s left": a status that goes on, for a person. Empty if it does not.
std::string describe_progress(const FetchStatus& status);

}  // namespace dewar
