#pragma once

#include <functional>
#include <map>
#include <string>

#include "base/event_loop.h"
#include "base/result.h"
#include "base/unique_fd.h"
#include "thermos/control.h"

namespace dewar {

/// The runner's end of its control socket (thermos/control.h). Loop thread only. A subscriber that does not read is
/// dropped once `kBacklog` bytes wait for it; it may come back and gets the history again.
class ControlServer {
 public:
  static constexpr std::size_t kBacklog = 4u << 20;

  /// What requests mean. `history`: every record so far, framed, for a new subscriber. `who`: "dewar (pid 7, uid 0)".
  struct Verbs {
    std::function<std::string()> history;
    std::function<void(std::optional<Duration>, const std::string& who)> kill;
    std::function<void(const std::string& who)> lose;
    std::function<void()> first_subscriber;
    std::function<std::string(const std::string& words)> limits = {};  ///< the answer, a line
  };

  ControlServer(EventLoop& loop, Verbs verbs) : loop_(loop), verbs_(std::move(verbs)) {}
  ~ControlServer();

  Result<void> listen(const std::string& run_folder);
  /// A client that is connected already.
  Result<void> serve(UniqueFd client);
  bool has_subscribers() const;
  /// Sends framed records to every subscriber.
  void publish(const std::string& bytes);
  /// Gives what still waits to the subscribers, at most for `timeout_ms` each, and closes everything.
  void close(int timeout_ms);

 private:
  struct Client {
    UniqueFd fd;
    bool subscribed = false;
    std::string request, backlog;
  };
  void accept();
  void read_from(int fd);
  /// False when the client does not speak our language.
  bool obey(Client& client, const std::string& line);
  /// False when the client is gone or too slow.
  bool send_to(Client& client);
  void drop(int fd);

  EventLoop& loop_;
  Verbs verbs_;
  UniqueFd listener_;
  std::map<int, Client> clients_;
};

}  // namespace dewar
