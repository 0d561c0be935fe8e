// What was fetched, by the SHA-256 of its bytes. Only dewar-fetch's own first process and `dewar cache` come here, as
// root; the digest of what is kept was computed by a process that has no network and parses nothing. Every change is
// one system call that either happened or did not, so a kill at any moment leaves it sound. docs/fetcher.md, "Cache".
#pragma once

#include <sys/types.h>
#include <unistd.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/encoding.h"
#include "base/result.h"
#include "base/unique_fd.h"

namespace dewar {

/// Whose an entry is: everybody's ("shared"), or one user's alone.
struct CacheOwner {
  std::optional<uid_t> uid;
  std::string name() const { return uid ? std::to_string(*uid) : "shared"; }
};

/// What a URI last was, for one user.
struct CacheNote {
  std::string uri;  ///< as people may see it
  std::string sha256;
  std::string etag, last_modified;
  bool is_private = false;
};

template <class Coder>
void code(Coder& c, CacheNote& v) {
  c(v.uri, v.sha256, v.etag, v.last_modified, v.is_private);
}

struct CacheEntry {
  std::string owner, sha256;  ///< owner: "shared" or a uid
  std::uint64_t bytes = 0;
  double used = 0;                ///< Unix seconds, last time
  bool in_use = false;            ///< somebody reads it at this moment: it is not evicted
  std::vector<std::string> uris;  ///< that have led to it
};

/// Held by whoever downloads; its file goes with it.
class CacheLock {
 public:
  CacheLock(UniqueFd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}
  CacheLock(CacheLock&&) noexcept = default;
  CacheLock& operator=(CacheLock&& other) noexcept {
    std::swap(file_, other.file_), std::swap(path_, other.path_);
    return *this;
  }
  ~CacheLock() {
    if (file_) ::unlink(path_.c_str());  // while it is held: who waits for it sees that it is another's by then
  }

 private:
  UniqueFd file_;
  std::string path_;
};

class Cache {
 public:
  /// Makes the folder if need be, for root alone. What an earlier boot has left is no longer trusted without a look: a
  /// power cut may have lost bytes of it. Errors: of the folder's file system.
  static Result<Cache> open(const std::string& folder, std::uint64_t max_bytes);

  /// The entry, open for reading; it is not evicted while it is open. Nothing if there is none. Counts as a use.
  Result<std::optional<UniqueFd>> find(const std::string& sha256, const CacheOwner& owner);

  /// A file without a name to write a new entry into; it is gone if it is not kept.
  Result<UniqueFd> stage() const;
  /// Names a staged file. What was used longest ago goes first until it fits; false if it cannot fit (the file is then
  /// as it was). An entry that is there already stays.
  Result<bool> keep(const UniqueFd& staged, const std::string& sha256, const CacheOwner& owner);

  Result<std::optional<CacheNote>> note(uid_t user, const std::string& uri);
  Result<void> take_note(uid_t user, const std::string& uri, const CacheNote& note);

  /// One at a time per user and key: the others wait until the first is done or has died. Errors: ETIMEDOUT.
  Result<CacheLock> lock(uid_t user, const std::string& key, Time deadline);

  Result<std::vector<CacheEntry>> list();
  /// Reads everything again; what does not fit its name goes. Returns the entries that went.
  Result<std::vector<CacheEntry>> verify();
  /// Lets go of entries that nobody uses, the longest unused first, until `bytes` are left (0: all).
  Result<std::vector<CacheEntry>> evict(std::uint64_t bytes);

  std::uint64_t max_bytes() const { return max_bytes_; }

 private:
  Cache(std::string folder, std::uint64_t max_bytes) : folder_(std::move(folder)), max_bytes_(max_bytes) {}
  struct Found {
    CacheEntry entry;
    std::string path;
  };
  Result<void> begin_boot();
  Result<UniqueFd> whole_lock() const;
  Result<std::vector<Found>> entries() const;
  Result<std::vector<CacheEntry>> make_room(std::uint64_t for_bytes, std::uint64_t limit);
  Result<void> forget_notes(const std::vector<CacheEntry>& gone) const;
  Result<void> trust_again(const std::string& sha256, const CacheOwner& owner);
  std::string blob(const CacheOwner& owner, const std::string& sha256) const;
  std::string note_path(uid_t user, const std::string& uri) const;

  std::string folder_;
  std::uint64_t max_bytes_;
};

}  // namespace dewar
