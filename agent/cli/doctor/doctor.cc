#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>

#include "agent/cli/commands.h"
#include "agent/cli/doctor/check.h"
#include "agent/cli/doctor/view.h"
#include "agent/cli/work_dir.h"
#include "base/files.h"

namespace dewar {
namespace {

struct DoctorOptions {
  std::string work_dir = kDefaultParent, cgroup;
  bool json = false;
  ColorWish color = ColorWish::kAuto;
};

std::string host_name() {
  char name[256] = "this host";
  ::gethostname(name, sizeof name - 1);
  return name;
}

std::size_t terminal_width() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 100;
}

ExitCode doctor(const DoctorOptions& options) {
  const std::string work_dir = std::filesystem::absolute(options.work_dir).lexically_normal().string();
  const DoctorHost host{work_dir, ::geteuid() == 0, look_at_host_cgroups(options.cgroup)};
  const std::vector<Checked> lines = examine(host);
  const Paint paint = choose_paint(options.color, ::isatty(STDOUT_FILENO) != 0, ::getenv);
  const std::string text =
      options.json ? checks_json(lines, host_name()) : show_checks(lines, host_name(), terminal_width(), paint);
  if (!write_all(STDOUT_FILENO, text, "standard output")) return ExitCode::kFailed;
  return verdict(lines) == Health::kMissing ? ExitCode::kFailed : ExitCode::kDone;
}

}  // namespace

void add_doctor(CLI::App& app, ExitCode& exit_code) {
  auto options = std::make_shared<DoctorOptions>();
  auto form = std::make_shared<std::string>("text");
  CLI::App* command =
      app.add_subcommand("doctor", "Tells what this host offers to tasks, and how to mend what it lacks");
  command->add_option("--work-dir", options->work_dir, "the folder whose file system is asked; default: /var/tmp")
      ->type_name("DIR");
  command->add_option("--cgroup", options->cgroup, "as for dewar run")->type_name("PATH")->envname("DEWAR_CGROUP");
  command->add_option("-o,--output", *form, "text or json")->check(CLI::IsMember({"text", "json"}));
  command->add_option("--color", options->color, "auto (default), always, never")
      ->type_name("WHEN")
      ->transform(CLI::CheckedTransformer(std::map<std::string, ColorWish>{{"auto", ColorWish::kAuto},
                                                                           {"always", ColorWish::kAlways},
                                                                           {"never", ColorWish::kNever}})
                      .description(""));
  command->footer("Exit status: 0 tasks can run here; 1 something is missing without which none can.");
  command->callback([options, form, &exit_code] {
    options->json = *form == "json";
    exit_code = doctor(*options);
  });
}

}  // namespace dewar
