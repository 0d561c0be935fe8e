#include "isolation/net/attachment.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/document.h"
#include "base/files.h"
#include "isolation/net/netns.h"

namespace dewar {
namespace {

constexpr DocumentKind kDocument{"DWNA", 1, "network record"};
constexpr auto kLongestWait = std::chrono::seconds(150);  // for others: they run a chain of plugins

const std::string kRecords = "/var/lib/dewar/net";
std::string record_of(const std::string& id) { return kRecords + "/" + id; }
std::string pin_of(const std::string& id) { return "/run/dewar/net/" + id; }

/// One chain at a time: plugins share iptables' chains and do not always lock them. A plugin holds the lock too: one
/// that has lost its runner ends before anybody undoes its work.
Result<UniqueFd> lock_networks() {
  DEWAR_TRY(make_dirs(kRecords, 0700));
  UniqueFd lock = DEWAR_TRY(open_file(kRecords + "/.lock", O_RDWR | O_CREAT | O_NOFOLLOW, 0600));
  const Time deadline = SystemClock().now() + kLongestWait;
  while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return fail_errno("lock " + kRecords);
    if (SystemClock().now() > deadline)
      return fail(std::errc::timed_out, "wait for CNI plugins of other tasks (see " + kRecords + "/.lock)");
    ::poll(nullptr, 0, 10);
  }
  return lock;
}

Result<void> write_record(const std::string& id, const Attachment& attachment, bool durable) {
  return replace_file(record_of(id), encode_attachment(attachment), 0600, durable);
}

/// Into the file that is there, for it is bound in the container.
Result<void> write_hosts(const std::string& path, const Attachee& who) {
  const std::string address = DEWAR_TRY(address_in_netns(who.init));
  std::string text = "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n";
  if (!address.empty()) text += address + " " + who.hostname + "\n";
  const UniqueFd file = DEWAR_TRY(open_file(path, O_WRONLY | O_TRUNC | O_NOFOLLOW));
  return write_all(file.get(), text, path);
}

/// Every plugin is asked to undo its part, the last one first, also after an error of another.
Result<void> undo(const std::string& id, const UniqueFd& lock) {
  const auto bytes = read_file(record_of(id));
  if (!bytes && bytes.error().code == std::errc::no_such_file_or_directory) return unpin_netns(pin_of(id));
  Result<void> outcome;
  if (bytes) {
    const Attachment made = DEWAR_TRY(decode_attachment(*bytes).context(record_of(id)));
    const CniCall call{"DEL", id, is_pinned(pin_of(id)) ? pin_of(id) : "", lock.get()};
    const std::vector<CniPlugin>& plugins = made.network.plugins;
    for (auto plugin = plugins.rbegin(); plugin != plugins.rend(); ++plugin) {
      auto undone = run_cni_plugin(*plugin, call, made.result);
      if (!undone && outcome) outcome = Failure{std::move(undone).error()};
    }
  } else {
    outcome = Failure{bytes.error()};
  }
  DEWAR_TRY(unpin_netns(pin_of(id)));
  if (outcome && ::unlink(record_of(id).c_str()) != 0) return fail_errno("remove " + record_of(id));
  return outcome;
}

/// What cannot be released now will be tried again by the next; it keeps nobody from starting.
void release_lost(const UniqueFd& lock) {
  const auto names = list_dir(kRecords);
  for (const std::string& id : names ? *names : std::vector<std::string>{}) {
    if (id.ends_with(".tmp")) ::unlink(record_of(id).c_str());  // of a writer that was killed: we hold the lock
    const auto bytes = read_file(record_of(id));
    const auto record = bytes ? decode_attachment(*bytes) : Result<Attachment>(fail("unreadable"));
    if (record && !exists(record->cgroup)) (void)undo(id, lock);
  }
}

}  // namespace

std::string encode_attachment(const Attachment& attachment) { return encode_document(kDocument, attachment); }

Result<Attachment> decode_attachment(std::string_view bytes) { return decode_document<Attachment>(kDocument, bytes); }

Result<void> attach_network(const CniNetwork& network, const Attachee& who) {
  const UniqueFd lock = DEWAR_TRY(lock_networks());
  release_lost(lock);
  Attachment made{network, who.cgroup, {}};
  DEWAR_TRY(write_record(who.id, made, true));
  DEWAR_TRY(pin_netns(who.init, pin_of(who.id)));
  const CniCall call{"ADD", who.id, pin_of(who.id), lock.get()};
  for (const CniPlugin& plugin : network.plugins) {
    made.result = DEWAR_TRY(run_cni_plugin(plugin, call, made.result));
    DEWAR_TRY(write_record(who.id, made, false));
  }
  if (!network.hosts_file.empty()) DEWAR_TRY(write_hosts(network.hosts_file, who));
  made.complete = true;
  return write_record(who.id, made, false);
}

bool is_attached(const std::string& id) {
  const auto bytes = read_file(record_of(id));
  const auto record = bytes ? decode_attachment(*bytes) : Result<Attachment>(fail("none"));
  return record && record->complete;
}

Result<void> detach_network(const std::string& id) {
  if (!exists(record_of(id)) && !is_pinned(pin_of(id))) return {};
  const UniqueFd lock = DEWAR_TRY(lock_networks());
  return undo(id, lock);
}

}  // namespace dewar
