#include "ppx_batch/options.h"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <memory>

#include "base/error.h"
#include "common/program.h"
#include "common/yaml_config.h"

namespace ppx::app {
namespace {

constexpr const char* kExamples = R"(Examples:
  # FullDuplexBench v1.0, output.wav and output.json beside each input.wav
  ppx-batch --suite fdb-v1.0 --data v1.0/

  # the same into a folder of its own, eight at a time; killed and started again it goes on
  ppx-batch --suite fdb-v1.0 --data v1.0/ --output-dir runs/a --batch 8

  # one JSON object a line: {"id": "q1", "audio": "q1.wav", "persona": "service-hotel"}
  ppx-batch --manifest jobs.jsonl --output-dir out

  # the same inputs with two roles and three seeds each
  ppx-batch --manifest jobs.jsonl --output-dir out \
      --matrix persona=service-hotel,service-pharmacy --matrix seed=1..3

  # scripted users that react to the agent
  ppx-batch --model mini --persona mini-bank --output-dir out \
      --scripts eval/scripts/interrupt_two_seconds_in.yaml

  # what is on the disk against the journal; the journals of all shards into one
  ppx-batch verify out
  ppx-batch merge out
)";

}  // namespace

void AddOptions(CLI::App& app, RawOptions& raw) {
  app.footer(std::string(kExamples) + "\n" + ExitCodeHelp());
  app.set_version_flag("--version", VersionText("ppx-batch"));
  app.set_config("--config", "", "Run configuration: YAML");
  app.config_formatter(std::make_shared<YamlConfig>());
  app.allow_config_extras(false);
  app.option_defaults()->always_capture_default();

  const char* input = "Input";
  app.add_option("--manifest", raw.manifest, "Dialogues, one JSON object a line")->group(input);
  app.add_option("--suite", raw.suite,
                 "Suite file, or the name of one in eval/: fdb-v1.0, fdb-v1.5, service-duplex, ...")
      ->group(input);
  app.add_option("--data", raw.data, "Root folder of the suite's samples")->group(input);
  app.add_option("--task", raw.tasks, "Render this task of the suite only; may be given again")
      ->delimiter(',')
      ->group(input);
  app.add_option("--scripts", raw.scripts, "Dialogue scripts, YAML (eval/scripts/README.md)")
      ->group(input);
  app.add_option("--matrix", raw.matrix,
                 "AXIS=VALUE,...: render all inputs once for each value; several axes multiply. "
                 "Axes: persona, voice, text, seed (also 1..5), config")
      ->group(input)
      ->take_all();
  app.add_option("--lead-in", raw.lead_in_s,
                 "Seconds of silence before a recording, rounded to frames; not in the outputs")
      ->group(input);
  app.add_option("--tail", raw.tail_s, "Seconds of silence after a recording; in the outputs")
      ->group(input);
  app.add_option("--speak", raw.speak,
                 "Synthesiser for the lines of scripts: its command line with {text} and {wav}; "
                 "no shell is involved")
      ->group(input);
  app.add_option("--speak-timeout", raw.speak_timeout_s, "Seconds for one line")
      ->check(CLI::PositiveNumber)
      ->group(input);

  const char* output = "Output";
  app.add_option("-o,--output-dir", raw.output_dir,
                 "Folder of the outputs, one folder a dialogue (default with --suite: beside each "
                 "input)")
      ->group(output);
  app.add_option("--also", raw.also,
                 "Besides output.wav, output.json (words) and run.json: text, stereo, srt, vtt, "
                 "ctm, textgrid")
      ->delimiter(',')
      ->check(CLI::IsMember({"text", "stereo", "srt", "vtt", "ctm", "textgrid"}))
      ->group(output);
  app.add_option("--align", raw.align,
                 "stream: the answer to a frame starts where the frame starts (the reference's "
                 "way); live: one frame later, when it could have been heard. Scripts: stream")
      ->check(CLI::IsMember({"stream", "live"}))
      ->group(output);
  app.add_option("--sample-format", raw.sample_format, "Samples of WAV outputs: pcm16 or float32")
      ->check(CLI::IsMember({"pcm16", "float32"}))
      ->group(output);
  app.add_flag("--no-links", raw.no_links,
               "Do not link the suite's own files beside the outputs in --output-dir")
      ->group(output);

  AddModelOptions(app, raw);
  AddPromptOptions(app, raw);

  const char* device = "Device";
  app.add_option("--devices", raw.devices,
                 "cpu, cuda, cuda:0,cuda:1, all (GPUs); auto: a GPU where a driver is found")
      ->envname("PPX_DEVICES")
      ->group(device);
  app.add_option("--batch", raw.batch,
                 "Dialogues at once on a device; auto: as its memory allows, or as in the run "
                 "that is continued")
      ->group(device);

  const char* work = "Work";
  app.add_option("--shard", raw.shard,
                 "I/N, I from 1: the I-th of N parts. Default: the place in a Slurm array, a "
                 "Kubernetes indexed job or an AWS Batch array, else 1/1")
      ->group(work);
  app.add_option("--lock", raw.lock,
                 "Where another process is at the same dialogues: wait, fail; none: no lock")
      ->check(CLI::IsMember({"wait", "fail", "none"}))
      ->group(work);
  app.add_flag("--verify", raw.verify, "Check the content of what is done, and redo what differs")
      ->group(work);
  app.add_option("--max-failures", raw.max_failures, "End when more dialogues than this failed")
      ->check(CLI::NonNegativeNumber)
      ->group(work);
  app.add_flag("--dry-run", raw.dry_run, "Say what would be done, and do nothing")->group(work);

  const char* terminal = "Terminal";
  app.add_flag("-q,--quiet", raw.quiet, "Only warnings and errors")->group(terminal);
  app.add_flag("--json", raw.json, "Print the summary of the run as JSON")->group(terminal);
  app.add_flag("--json-progress", raw.json_progress,
               "Progress as JSON lines on standard error, about one a second")
      ->group(terminal);
}

void CheckRaw(const RawOptions& raw) {
  const int sources = static_cast<int>(!raw.manifest.empty()) +
                      static_cast<int>(!raw.suite.empty()) + static_cast<int>(!raw.scripts.empty());
  if (sources != 1) {
    base::ThrowUsage("give one of --manifest, --suite and --scripts; see --help");
  }
  if (raw.suite.empty() != raw.data.empty()) {
    base::ThrowUsage("--suite and --data go together: the suite's description and its samples");
  }
  if (!raw.tasks.empty() && raw.suite.empty()) base::ThrowUsage("--task needs --suite");
  if (raw.output_dir.empty() && raw.suite.empty()) base::ThrowUsage("give --output-dir");
  if (raw.output_dir.empty() && !raw.matrix.empty()) {
    base::ThrowUsage("--matrix makes several dialogues of an input: give --output-dir");
  }
  CheckSeconds("--lead-in", raw.lead_in_s);
  CheckSeconds("--tail", raw.tail_s);
  CheckSampling(raw);
  if (raw.seed < 0) {
    base::ThrowUsage("--seed: expected 0 or more: a batch that is continued must use the same one");
  }
  ParseContext(raw.context);
}

}  // namespace ppx::app
