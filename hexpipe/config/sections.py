"""All sections of the settings except the game, with defaults and ranges."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from hexpipe.config.section import RefusedError, Section

_PRINTABLE = r"^[^\x00-\x1f\x7f-\x9f]+$"  # control characters would act on a terminal
AUTO = "auto"  # value of a setting that otherwise names devices


def named_devices(text: str) -> tuple[str, ...]:
    """Return the devices that ``inference.devices`` or ``learner.devices`` name, in order; none with auto."""
    return () if text == AUTO else tuple(text.split(","))


class NetSettings(Section):
    """The net. One set of weights serves every board size."""

    backbone: Literal["resnet", "transformer"] = Field(
        "resnet", description="the trunk: residual convolutions, or attention between cells"
    )
    blocks: int = Field(6, ge=1, le=80, description="residual blocks, or transformer blocks")
    channels: int = Field(64, ge=8, le=1024, description="channels of the trunk")
    value_hidden: int = Field(64, ge=8, le=1024, description="hidden units of the value head")
    dynamics_blocks: int = Field(
        0, ge=0, le=80, description="residual blocks of the learned dynamics (MuZero); 0: the search asks the rules"
    )
    heads: int = Field(2, ge=1, le=64, description="attention heads of a transformer block")
    kv_latent: int | None = Field(
        None, ge=4, le=1024, description="rank of a transformer's keys and values; unset: half the channels"
    )
    ffn_multiplier: int = Field(
        2, ge=1, le=8, description="hidden units of a transformer's feed-forward layer for each channel"
    )
    engram: int = Field(
        0, ge=0, le=2**24, description="entries of the net's episodic memory of positions played; 0: it has none"
    )

    @model_validator(mode="after")
    def _fitting_heads(self) -> NetSettings:
        if self.backbone == "resnet":
            return self
        if self.channels % (8 * self.heads):  # rotary pairs: a quarter of a head by row, a quarter by column
            words = (
                f"a transformer of {self.heads} heads wants channels in multiples of {8 * self.heads}, "
                f"not {self.channels}: change net.channels or net.heads"
            )
            raise RefusedError(words, kind="conflict", setting="net.channels")
        if self.latent_rank > self.channels:
            words = f"net.kv_latent {self.kv_latent} is above net.channels {self.channels}: lower it"
            raise RefusedError(words, kind="range", setting="net.kv_latent", high=self.channels)
        return self

    @property
    def title(self) -> str:
        """Short description of the net: "resnet with 4 blocks of 32 channels"."""
        heads = f", {self.heads} heads" if self.backbone == "transformer" else ""
        engram = f", engram of {self.engram:,} entries" if self.engram else ""
        return f"{self.backbone} with {self.blocks} blocks of {self.channels} channels{heads}{engram}"

    @property
    def latent_rank(self) -> int:
        """Width ``kv_latent``, by default half the channels."""
        return self.channels // 2 if self.kv_latent is None else self.kv_latent


class SearchSettings(Section):
    """Monte Carlo tree search. Symbols follow the AlphaZero, MuZero and Gumbel MuZero papers."""

    root: Literal["puct", "gumbel"] = Field("puct", description="how the root chooses: PUCT with noise, or Gumbel")
    num_simulations: int = Field(100, ge=2, le=1_000_000, description="simulations a move")
    phase_simulations: tuple[int, ...] | None = Field(
        None,
        description="simulations a move early, in the middle and late in a game of self-play, three numbers up to "
        "num_simulations; unset: that many in all",
    )
    phase_plies: tuple[int, ...] = Field(
        (20, 60), description="plies at which the middle and the late phase of phase_simulations begin"
    )
    leaves_per_game: int = Field(4, ge=1, le=256, description="leaves of one game evaluated together")
    c_puct_init: float = Field(1.25, gt=0, description="c1 of the MuZero paper's PUCT")
    c_puct_base: float = Field(19652.0, gt=0, description="c2 of the MuZero paper's PUCT")
    fpu_reduction: float = Field(0.25, ge=0, description="an unvisited child's value below its parent's")
    virtual_loss: float = Field(1.0, ge=0, le=10, description="losses a pending visit counts as")
    dirichlet_alpha: float = Field(0.0, ge=0, description="root noise alpha; 0 means 10.83 / legal moves")
    dirichlet_fraction: float = Field(0.25, ge=0, le=1, description="share of root noise in the root's priors")
    gumbel_considered: int = Field(16, ge=2, le=1024, description="root actions that sequential halving starts from")
    gumbel_scale: float = Field(1.0, ge=0, description="0 makes a Gumbel root deterministic")
    gumbel_c_visit: float = Field(50.0, ge=0, description="c_visit of the Gumbel MuZero paper's sigma")
    gumbel_c_scale: float = Field(1.0, gt=0, description="c_scale of the Gumbel MuZero paper's sigma")
    solver: bool = Field(True, description="prove wins and losses in the tree, and search what is proven no more")
    leaf_proofs: int = Field(
        0,
        ge=0,
        le=1_000_000,
        description="positions that a solver of Hex judges at each leaf, to prove it won or lost without the net "
        "(boards to 8x8); 0: none",
    )
    reuse_tree: bool = Field(True, description="keep the chosen move's subtree for the next search")
    early_stop: bool = Field(True, description="stop when no other move can catch up with the most visited")

    @model_validator(mode="after")
    def _possible_phases(self) -> SearchSettings:
        phases, plies = self.phase_simulations, self.phase_plies
        if phases is not None and (len(phases) != 3 or not all(2 <= n <= self.num_simulations for n in phases)):
            raise RefusedError(
                f"search.phase_simulations must be three numbers from 2 to search.num_simulations="
                f"{self.num_simulations} (got {[*phases]})",
                kind="range",
                setting="search.phase_simulations",
                low=2,
                high=self.num_simulations,
            )
        if len(plies) != 2 or not 0 <= plies[0] <= plies[1]:
            words = f"search.phase_plies must be two rising plies (got {[*plies]})"
            raise RefusedError(words, kind="range", setting="search.phase_plies", low=0)
        return self


class SelfplaySettings(Section):
    """Generators and their choice of moves."""

    workers: int | None = Field(
        None,
        ge=0,
        le=1024,
        description="generator processes; unset: min(8, cores / 4), at least 1; 0: nothing is played, the learner "
        "trains on the games that are there",
    )
    games_per_worker: int = Field(32, ge=2, le=4096, description="games at once in a generator, in two groups")
    temperature: float = Field(1.0, ge=0, le=10, description="sampling temperature of the opening plies")
    temperature_plies: int = Field(10, ge=0, description="plies sampled with that temperature")
    temperature_late: float = Field(
        0.0, ge=0, le=10, description="sampling temperature of the plies after those; 0: the best move"
    )
    policy_temperature: float = Field(
        1.0, gt=0, le=10, description="policy targets are the search's policy ** (1 / this)"
    )
    focus_share: float = Field(
        0.75, ge=0, le=1, description="share of moves whose view goes where the net looks, not to a stone"
    )
    opening_random_plies: int = Field(
        0, ge=0, description="a game starts with 0 to this many uniformly random plies, which are not learned from"
    )
    revisit_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of games that begin at a position of an earlier game whose value was wrong",
    )
    fast_share: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="share of moves that are searched with fast_simulations, without noise, and whose policies are not "
        "learned from",
    )
    fast_simulations: int = Field(
        8, ge=1, le=1_000_000, description="simulations of these, or num_simulations if fewer"
    )
    max_game_plies: int = Field(5000, ge=1, description="step cap of a game")
    stop_when_proven: float = Field(
        0.0,
        ge=0,
        le=1,
        description="share of games that end once a search has proven who wins (true rules); none of the league's do",
    )
    cache_entries: int = Field(16384, ge=0, le=16_777_216, description="positions in a generator's evaluation cache")
    game_queue: int = Field(
        8, ge=2, le=1024, description="finished games a generator may have under way (backpressure)"
    )


class InferenceSettings(Section):
    """The batching inference server."""

    devices: str = Field("auto", description="the device of each server, such as cuda:0,cuda:1; auto: all GPUs")
    servers: int | None = Field(
        None, ge=1, le=64, description="servers with devices=auto; unset: one a GPU, else one a core"
    )
    backend: Literal["auto", "eager", "frozen", "winograd", "openvino", "cuda_graphs"] = Field(
        "auto", description="how the net is run; auto times what is there and takes the fastest"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="arithmetic of the forward pass"
    )
    max_batch: int = Field(256, ge=1, le=65536, description="most positions in one forward pass")


class ReplaySettings(Section):
    """The replay buffer and its archive."""

    max_games: int = Field(200_000, ge=1, le=2_000_000, description="games kept in shared memory at most")
    max_memory_gb: float = Field(
        1.0, ge=0.1, le=500, description="hard budget of the buffer's shared memory, 10**9 bytes"
    )
    min_games: int = Field(
        100, ge=1, le=2_000_000, description="games that eviction never goes under; training waits for them"
    )
    snapshot_interval: int = Field(16, ge=1, le=256, description="plies between board snapshots")
    td_steps: int = Field(0, ge=0, description="plies of n-step bootstrapping; 0 means the game's outcome")
    priority_share: float = Field(
        0.0, ge=0, le=1, description="share of sampling that goes by how wrong a position's value was; 0 is uniform"
    )


class ReanalyzeSettings(Section):
    """The process that reanalyzes old games with new weights."""

    ratio: float = Field(
        0.0, ge=0, le=100, description="positions searched anew for each new position; 0: there is no such process"
    )


class LeagueSettings(Section):
    """Past checkpoints of the run as opponents in self-play."""

    share: float = Field(
        0.0, ge=0, le=1, description="share of games in which a past checkpoint plays one seat or more; 0: none"
    )
    minutes: float = Field(5.0, gt=0, description="time between two opponents")


class RatingSettings(Section):
    """The process that rates the run's checkpoints by games against earlier ones (`hexpipe run`, two players)."""

    share: float = Field(
        0.05,
        ge=0,
        le=1,
        description="share of one core, or of the GPU it plays on, that rating the run's checkpoints takes at most; 0: "
        "none is rated, as in `hexpipe train`",
    )
    opponents: int = Field(3, ge=1, le=16, description="earlier checkpoints that a checkpoint plays")
    pairs: int = Field(
        10, ge=1, le=500, description="pairs of games against each of them, one opening with colours swapped"
    )
    simulations: int = Field(32, ge=2, le=1_000_000, description="simulations a move of both")


class ClusterSettings(Section):
    """Other machines that play for the run, through Ray."""

    address: str | None = Field(
        None,
        pattern=r"^(local|[A-Za-z0-9._-]+:[0-9]{1,5})$",
        description="Ray cluster whose nodes play for this run: host:port of its head, or local for one of this "
        "machine alone; unset: this machine plays, without Ray",
    )
    max_nodes: int = Field(16, ge=1, le=256, description="nodes that play at once, at most")


class CurriculumSettings(Section):
    """Boards that grow inside one run."""

    stages: tuple[tuple[int, int], ...] = Field(
        (),
        description="boards from the first to the game's own: sizes for Hex, [5,7,9]; n in a row has win lengths too, "
        "[[15,5],[30,6],[50,7],[100,8]]; empty: no curriculum",
    )
    stage_games: int = Field(500, ge=1, description="games after which a stage may be mastered")
    solved: float = Field(
        0.9,
        ge=0,
        le=1,
        description="share of a solver's values and winning moves that the net alone must know to master a stage of "
        "Hex up to 5x5; such a stage ends after ten times its games all the same",
    )
    kept_games: int = Field(
        0,
        ge=0,
        le=2_000_000,
        description="newest games of the smaller boards that the replay buffer of the next board of Hex begins with",
    )
    mastery: float = Field(
        0.6,
        ge=0,
        le=1,
        description="share of its last 100 games against the league that the newest net must win to master a stage; "
        "without a league a stage ends with its games, once trained weights have played",
    )

    @field_validator("stages", mode="before")
    @classmethod
    def _with_lengths(cls, stages: Any) -> Any:
        """Write a stage of Hex, a size alone, as a pair too."""
        if not isinstance(stages, (list, tuple)):
            return stages
        return [(stage, 0) if isinstance(stage, int) and not isinstance(stage, bool) else stage for stage in stages]


class LearnerSettings(Section):
    """Training."""

    batch_size: int = Field(256, ge=1, le=10_000, description="positions in a training step")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="peak learning rate of AdamW")
    muon_rate: float = Field(
        0.03,
        ge=0,
        le=1,
        description="peak learning rate of Muon, which updates the matrices of the trunk's blocks; 0: AdamW does",
    )
    weight_decay: float = Field(1e-4, ge=0, le=1, description="decoupled weight decay")
    warmup_steps: int = Field(200, ge=0, description="steps of linear learning-rate warm-up")
    value_weight: float = Field(1.0, ge=0, description="weight of the value loss beside the policy loss")
    reward_weight: float = Field(1.0, ge=0, description="weight of the reward loss (learned dynamics)")
    consistency_weight: float = Field(
        2.0, ge=0, description="weight of the consistency loss between imagined and real latents (learned dynamics)"
    )
    threat_weight: float = Field(0.1, ge=0, description="weight of the loss of threat levels (n in a row)")
    focus_weight: float = Field(0.25, ge=0, description="weight of the loss of where the next move will be (views)")
    unroll_steps: int = Field(5, ge=1, le=20, description="plies that learned dynamics are unrolled in training")
    gradient_clip: float = Field(5.0, gt=0, description="largest gradient norm")
    replay_ratio: float = Field(4.0, gt=0, le=1000, description="samples trained for each new position")
    ema_decay: float = Field(0.99, ge=0, lt=1, description="decay of the averaged weights that play, for each step")
    augment: bool = Field(True, description="apply a random board symmetry to each sample")
    devices: str = Field(
        "auto", description="the device of each learner, such as cuda:0,cuda:1; auto: one learner, on the last GPU"
    )
    dtype: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="arithmetic of the net in training; auto: bfloat16 where that is faster"
    )
    prefetch_threads: int | None = Field(
        None, ge=1, le=64, description="threads that sample batches ahead; unset: 2 for a GPU, 1 for a CPU"
    )
    publish_seconds: float = Field(10.0, gt=0, description="least time between two weight versions sent to play")
    checkpoint_minutes: float = Field(5.0, gt=0, description="time between checkpoints")
    checkpoint_steps: int = Field(
        0, ge=0, description="training steps between checkpoints, beside those by time; 0: by time alone"
    )
    keep_checkpoints: int = Field(5, ge=1, description="checkpoints kept; older ones are deleted")
    keep_every: int = Field(10, ge=0, description="every so many-th checkpoint is never deleted; 0: none is kept so")

    @property
    def ranks(self) -> int:
        """Number of learner processes, which train together on shares of each batch."""
        return max(1, len(named_devices(self.devices)))


class LimitSettings(Section):
    """Limits of a run; 0 means no limit (a stall always ends it)."""

    minutes: float = Field(0.0, ge=0, description="wall-clock minutes")
    steps: int = Field(0, ge=0, description="training steps in all")
    games: int = Field(0, ge=0, description="finished games in all")
    stall_seconds: float = Field(
        300.0, ge=10, description="seconds without any progress after which a run ends, and says why"
    )


class TrackingSettings(Section):
    """Destinations of a run's figures beside its metrics.jsonl."""

    tensorboard: bool = Field(True, description="write TensorBoard's event files into the run folder")
    wandb: str | None = Field(
        None,
        min_length=1,
        pattern=_PRINTABLE,
        description="project, or entity/project, of Weights & Biases; unset: none",
    )
    mlflow: str | None = Field(
        None,
        min_length=1,
        pattern=_PRINTABLE,
        description="tracking URI of MLflow, where the experiment is hexpipe; unset: none",
    )
