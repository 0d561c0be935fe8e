#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>

#include "agent/cli/commands.h"
#include "agent/cli/dump_view.h"
#include "agent/cli/paint.h"
#include "base/files.h"

namespace dewar {
namespace {

constexpr std::size_t kMaxStream = 1u << 30;

ExitCode dump(const std::string& path, bool json) {
  const auto content = read_file(path, kMaxStream);
  if (!content) {
    std::fprintf(stderr, "dewar checkpoint dump: %s\n", printable(content.error().message()).c_str());
    return content.error().code == std::errc::permission_denied ? ExitCode::kNoRights : ExitCode::kNotFound;
  }
  const StreamDump out = json ? dump_as_json(*content) : dump_as_text(*content);
  const auto written = write_all(STDOUT_FILENO, out.text, "standard output");
  return written && !out.damaged ? ExitCode::kDone : ExitCode::kFailed;
}

}  // namespace

void add_checkpoint(CLI::App& app, ExitCode& exit_code) {
  auto path = std::make_shared<std::string>();
  auto form = std::make_shared<std::string>("text");
  CLI::App* group = app.add_subcommand("checkpoint", "Looks into the records of a task");
  group->require_subcommand(1);
  CLI::App* command = group->add_subcommand("dump", "Prints every record of a runner or coordinator file");
  command->add_option("FILE", *path, "checkpoints/<task>/runner or coordinator.<process>")->required();
  command->add_option("-o,--output", *form, "text or json")->check(CLI::IsMember({"text", "json"}));
  command->callback([path, form, &exit_code] { exit_code = dump(*path, *form == "json"); });
}

}  // namespace dewar
