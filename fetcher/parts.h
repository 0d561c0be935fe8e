// The processes that dewar-fetch consists of. The first one keeps root's rights, reads no foreign byte and no archive,
// and starts the others, each with the user's rights or less:
//
//   transfer --pipe--> keeper --pipe--> unpacker
//
// The transfer reads the network. The keeper hashes and stores what comes, without network or files: so whoever takes
// the transfer over cannot make bytes pass for others. The unpacker parses archives and sees the target alone.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "fetcher/extract.h"
#include "fetcher/transfer.h"

namespace dewar {

/// Whose rights a part has. Without `change` it stays whoever it is: dewar-fetch was not started by root.
struct PartUser {
  bool change = false;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
};

/// One such process, reaped at the end of its Part: killed, unless it ends by itself soon after its channel is closed.
class Part {
 public:
  /// Forks; in the child, as the user, with no descriptor but `keep` and its end of the channel, calls `body` and ends.
  static Result<Part> start(const PartUser& user, const std::vector<int>& keep, const std::function<void(int)>& body);
  Part(Part&& other) noexcept;
  Part& operator=(Part&& other) noexcept;
  ~Part() { stop(); }

  int channel() const { return channel_.get(); }
  /// The next message of at most 64 KiB, waiting for it. Errors: ETIMEDOUT; EPIPE once it has ended without one.
  Result<std::string> receive(Time deadline);
  Result<void> send(const std::string& message) const;
  void stop();
  /// Before it is killed it gets this long to tidy up.
  void allow(Duration grace) { grace_ = grace; }

 private:
  Part() = default;
  pid_t pid_ = -1;
  UniqueFd channel_;
  Duration grace_{};
};

/// The transfer's messages: how far it is, and at last its result.
struct TransferMessage {
  std::uint64_t bytes = 0, total = 0;
  std::optional<TransferResult> result;
};
Result<Part> start_transfer(const PartUser& user, const TransferOrder& order, const FetchConfig& config, int out);
Result<TransferMessage> decode_transfer(const std::string& message);

struct KeeperReport {
  std::string error;  ///< empty: all is well
  std::uint64_t bytes = 0;
  std::string sha256, sha512;
};
/// Reads `in` to its end; `file` and `forward` may be -1.
Result<Part> start_keeper(const PartUser& user, int in, int file, int forward, bool with_sha512);
Result<KeeperReport> decode_keeper(const std::string& message);

struct UnpackerReport {
  std::string error;  ///< empty: all is well
  std::uint64_t bytes = 0, files = 0;
};
/// `stream`: `source` is a pipe, and nothing appears in the target before a message has come; else a file.
Result<Part> start_unpacker(const PartUser& user, int source, bool stream, int target, const std::string& name);
Result<UnpackerReport> decode_unpacker(const std::string& message);

}  // namespace dewar
