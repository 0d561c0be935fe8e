#include "fetcher/parts.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <optional>

#include "base/digest.h"
#include "base/encoding.h"
#include "base/files.h"
#include "base/process.h"
#include "fetcher/confine.h"
#include "fetcher/uri.h"

namespace dewar {
namespace {

constexpr std::size_t kMaxMessage = 64u << 10, kMaxWords = 1000;
constexpr std::size_t kBlock = 1u << 20;

template <class Coder>
void code(Coder& c, TransferMessage& v) {
  c(v.bytes, v.total, v.result);
}
template <class Coder>
void code(Coder& c, KeeperReport& v) {
  c(v.error, v.bytes, v.sha256, v.sha512);
}
template <class Coder>
void code(Coder& c, UnpackerReport& v) {
  c(v.error, v.bytes, v.files);
}

template <class T>
std::string encoded(const T& value) {
  Encoder encoder;
  code(encoder, const_cast<T&>(value));
  return encoder.take();
}

template <class T>
Result<T> decoded(const std::string& message, const char* who) {
  T value;
  Decoder decoder(message);
  code(decoder, value);
  if (!decoder.complete()) return fail(std::errc::bad_message, std::string("the ") + who + " said what it cannot mean");
  return value;
}

/// What a part says may come from whoever has taken it over: it is cut and cannot steer a terminal or a log.
void tame(std::string& words) {
  if (words.size() > kMaxWords) words.resize(kMaxWords);
  for (char& c : words)
    if (static_cast<unsigned char>(c) < 32 || c == 127) c = ' ';
}

bool tell(int channel, const std::string& message) {
  return retry_eintr([&] { return ::send(channel, message.data(), message.size(), MSG_NOSIGNAL); }) >= 0;
}

/// Only `kept` and 0 to 2 stay open.
void close_others(std::vector<int> kept) {
  std::ranges::sort(kept);
  unsigned next = 3;
  for (const int fd : kept) {
    if (fd < 3) continue;
    if (static_cast<unsigned>(fd) > next) ::close_range(next, static_cast<unsigned>(fd) - 1, 0);
    next = static_cast<unsigned>(fd) + 1;
  }
  ::close_range(next, ~0u, 0);
}

bool become(const PartUser& user) {
  if (!user.change) return true;
  if (::setgroups(user.groups.size(), user.groups.data()) != 0) return false;
  return ::setresgid(user.gid, user.gid, user.gid) == 0 && ::setresuid(user.uid, user.uid, user.uid) == 0;
}

[[noreturn]] void live(const PartUser& user, std::vector<int> keep, int channel, pid_t parent,
                       const std::function<void(int)>& body) {
  keep.push_back(channel);
  close_others(keep);
  ::signal(SIGPIPE, SIG_IGN);
  const rlimit none{0, 0};
  ::setrlimit(RLIMIT_CORE, &none);
  // After the change of user, which would undo both: nobody may look into it, and it does not outlive its parent.
  if (!become(user) || ::prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || ::prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0 ||
      ::getppid() != parent)
    ::_exit(1);
  body(channel);
  ::_exit(0);
}

/// Files that name look-ups, TLS and libraries need, and the one that is asked for.
std::vector<std::string> readable_for(const TransferOrder& order, const FetchConfig& config) {
  std::vector<std::string> paths{"/etc/resolv.conf",
                                 "/etc/nsswitch.conf",
                                 "/etc/hosts",
                                 "/etc/host.conf",
                                 "/etc/gai.conf",
                                 "/etc/services",
                                 "/etc/ssl",
                                 "/etc/pki",
                                 "/etc/ca-certificates",
                                 "/etc/ld.so.cache",
                                 "/etc/localtime",
                                 "/usr",
                                 "/lib",
                                 "/lib64",
                                 "/dev/null",
                                 "/dev/urandom",
                                 "/run/systemd/resolve"};
  if (!config.ca_bundle.empty()) paths.push_back(config.ca_bundle);
  if (scheme_of(order.uri) == "file") paths.push_back(file_path(order.uri));
  return paths;
}

}  // namespace

Result<Part> Part::start(const PartUser& user, const std::vector<int>& keep, const std::function<void(int)>& body) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return fail_errno("make a channel");
  Part part;
  part.channel_.reset(ends[0]);
  const UniqueFd theirs(ends[1]);
  const pid_t parent = ::getpid();
  part.pid_ = ::fork();
  if (part.pid_ < 0) return fail_errno("start a part of dewar-fetch");
  if (part.pid_ == 0) live(user, keep, theirs.get(), parent, body);
  return part;
}

Part::Part(Part&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), channel_(std::move(other.channel_)), grace_(other.grace_) {}

Part& Part::operator=(Part&& other) noexcept {
  stop();
  pid_ = std::exchange(other.pid_, -1);
  channel_ = std::move(other.channel_);
  grace_ = other.grace_;
  return *this;
}

void Part::stop() {
  if (pid_ <= 0) return;
  channel_.reset();
  const auto pidfd = open_child(pid_);
  const auto grace = std::chrono::duration_cast<std::chrono::milliseconds>(grace_).count();
  pollfd end{pidfd ? pidfd->get() : -1, POLLIN, 0};
  if (grace > 0) retry_eintr([&] { return ::poll(&end, 1, static_cast<int>(grace)); });
  ::kill(pid_, SIGKILL);  // our child, not yet reaped: the number is its own
  retry_eintr([&] { return ::waitpid(pid_, nullptr, 0); });
  pid_ = -1;
}

Result<std::string> Part::receive(Time deadline) {
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - SystemClock().now()).count();
  pollfd input{channel_.get(), POLLIN, 0};
  const int wait = static_cast<int>(std::clamp<std::int64_t>(left + 1, 0, 1 << 30));
  if (retry_eintr([&] { return ::poll(&input, 1, wait); }) == 0) return fail(std::errc::timed_out, "wait");
  std::string message(kMaxMessage, '\0');
  const ssize_t n = retry_eintr([&] { return ::recv(channel_.get(), message.data(), message.size(), 0); });
  if (n <= 0) return fail(std::errc::broken_pipe, "a part of dewar-fetch ended before its time");
  message.resize(static_cast<std::size_t>(n));
  return message;
}

Result<void> Part::send(const std::string& message) const {
  if (!tell(channel_.get(), message)) return fail_errno("tell a part of dewar-fetch");
  return {};
}

Result<Part> start_transfer(const PartUser& user, const TransferOrder& order, const FetchConfig& config, int out) {
  return Part::start(user, {out}, [&](int channel) {
    const bool helper = config.helpers.contains(scheme_of(order.uri));
    const auto confined = helper ? give_up_rights() : confine_transfer(readable_for(order, config));
    TransferResult result;
    if (confined) {
      result = transfer(order, config, out, [channel](std::uint64_t bytes, std::uint64_t total) {
        tell(channel, encoded(TransferMessage{bytes, total, {}}));
      });
    } else {
      result.words = confined.error().message();
    }
    tell(channel, encoded(TransferMessage{0, 0, result}));
  });
}

Result<TransferMessage> decode_transfer(const std::string& message) {
  TransferMessage told = DEWAR_TRY(decoded<TransferMessage>(message, "transfer"));
  if (!told.result) return told;
  if (told.result->end > TransferEnd::kRefused)
    return fail(std::errc::bad_message, "the transfer ended in no known way");
  for (std::string* words : {&told.result->words, &told.result->detail, &told.result->etag, &told.result->last_modified,
                             &told.result->address})
    tame(*words);
  return told;
}

Result<Part> start_keeper(const PartUser& user, int in, int file, int forward, bool with_sha512) {
  return Part::start(user, {in, file, forward}, [=](int channel) {
    KeeperReport report;
    Digest sha256(Digest::Kind::kSha256);
    std::optional<Digest> sha512;
    if (with_sha512) sha512.emplace(Digest::Kind::kSha512);
    if (auto confined = confine_keeping(); !confined) report.error = confined.error().message();
    std::vector<char> block(kBlock);
    while (report.error.empty()) {
      const ssize_t n = retry_eintr([&] { return ::read(in, block.data(), block.size()); });
      if (n == 0) break;
      if (n < 0) {
        report.error = fail_errno("read what came").error.message();
        break;
      }
      const std::string_view bytes(block.data(), static_cast<std::size_t>(n));
      if (forward >= 0) {  // first, so that unpacking goes on while we hash
        if (auto put = write_all(forward, bytes, "unpacker"); !put) report.error = "the unpacker has given up";
      }
      sha256.add(bytes);
      if (sha512) sha512->add(bytes);
      if (file >= 0) {
        if (auto put = write_all(file, bytes, "store what came"); !put) report.error = put.error().message();
      }
      report.bytes += bytes.size();
    }
    report.sha256 = sha256.finish();
    if (sha512) report.sha512 = sha512->finish();
    tell(channel, encoded(report));
  });
}

Result<KeeperReport> decode_keeper(const std::string& message) { return decoded<KeeperReport>(message, "keeper"); }

namespace {

Result<ExtractReport> unpack_stream(int source, int target, const std::string& name, int channel) {
  Extractor extractor = DEWAR_TRY(Extractor::start(UniqueFd(::fcntl(target, F_DUPFD_CLOEXEC, 3)), name));
  std::vector<char> block(kBlock);
  for (;;) {
    const ssize_t n = retry_eintr([&] { return ::read(source, block.data(), block.size()); });
    if (n < 0) return fail_errno("read the archive");
    if (n == 0) break;
    DEWAR_TRY(extractor.write({block.data(), static_cast<std::size_t>(n)}));
  }
  char word = 0;  // the digest is right: the files may appear
  if (retry_eintr([&] { return ::recv(channel, &word, 1, 0); }) <= 0) return fail("the bytes were not the right ones");
  return extractor.finish();
}

}  // namespace

Result<Part> start_unpacker(const PartUser& user, int source, bool stream, int target, const std::string& name) {
  auto part = Part::start(user, {source, target}, [&](int channel) {
    ::umask(022);
    UnpackerReport report;
    if (auto confined = confine_extraction(target); !confined) {
      report.error = confined.error().message();
    } else {
      const auto done = stream ? unpack_stream(source, target, name, channel)
                               : extract_file(source, UniqueFd(::fcntl(target, F_DUPFD_CLOEXEC, 3)), name);
      if (done) {
        report.bytes = done->bytes;
        report.files = done->files;
      } else {
        report.error = done.error().message();
      }
    }
    tell(channel, encoded(report));
  });
  if (part) part->allow(std::chrono::seconds(10));  // what it has unpacked in part, it removes
  return part;
}

Result<UnpackerReport> decode_unpacker(const std::string& message) {
  UnpackerReport report = DEWAR_TRY(decoded<UnpackerReport>(message, "unpacker"));
  tame(report.error);
  return report;
}

}  // namespace dewar
