"""Every setting, its default and its range: the only place of defaults.

Settings are frozen pydantic models. `load_settings` starts from a preset and applies dotted overrides
(``search.num_simulations=64``); `dump_settings` writes what `settings_from_json` reads back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from hexpipe.errors import SettingsError
from hexpipe.plain_files import parse_document

MIN_HEX_SIZE, MAX_HEX_SIZE = 3, 27
MIN_INAROW_SIZE, MAX_INAROW_SIZE = 3, 200
DEFAULT_VIEW_SIZE, MAX_VIEW_SIZE = 21, 79  # tables of 5 planes of 79 x 79 codes are the largest that int16 can index
DEFAULT_WIN_LENGTH = 5
AUTO = "auto"  # of a setting that else names devices
_DEVICES = re.compile(r"auto|(cpu|cuda:(0|[1-9]\d*))(,(cpu|cuda:(0|[1-9]\d*)))*")


def named_devices(text: str) -> tuple[str, ...]:
    """The devices that ``inference.devices`` or ``learner.devices`` name, in order; none with auto."""
    return () if text == AUTO else tuple(text.split(","))


@dataclass(frozen=True)
class Shapes:
    """What nets, inference and replay know of a game: array sizes, no rules.

    A state is seen through a view of ``view_size`` x ``view_size`` cells, which is the whole board unless it is given
    (0 stands for ``board_size``). ``code_length`` int8 codes describe one state as its mover sees it: ``view_cells``
    cell codes (0 empty, 1 mine, 2 the next seat's, 3 the seat's after that, 4 off the board, or empty and closed: no
    move now), then one flag for each action that is not a cell (1: legal); these are the ``num_actions`` actions. Where
    there is a ``thumbnail`` of the board, ``num_seats`` + 1 planes of ``view_cells`` codes follow: how full of the
    mover's, the next seat's, ... stones each bucket of cells is (0 to 127), and which buckets the view shows (1).
    ``turns_frame``: each seat sees the board transposed against the seat before (a move to a cell turns it over).
    ``threats``: the game tells how near each seat is to a win (`Game.threat_levels`), which the net learns to tell too.
    """

    board_size: int
    num_actions: int
    num_seats: int
    code_length: int
    view_size: int = 0
    thumbnail: bool = False
    turns_frame: bool = False
    threats: bool = False

    def __post_init__(self) -> None:
        if not self.view_size:
            object.__setattr__(self, "view_size", self.board_size)

    @property
    def num_planes(self) -> int:
        """Input planes of a net (see `nets.planes`)."""
        if self.turns_frame:
            return 4
        flags = self.num_actions - self.view_cells
        return self.num_seats + 2 + flags + (self.num_seats + 1 if self.thumbnail else 0)

    @property
    def board_cells(self) -> int:
        """Cells of the board, n * n."""
        return self.board_size * self.board_size

    @property
    def view_cells(self) -> int:
        """Cells of the view, which are the first actions and the first codes."""
        return self.view_size * self.view_size


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True)
class InARowRules:
    """What `GameSettings` say of n in a row, with nothing left unset; ``placement_rewards`` has one for each seat."""

    board_size: int
    players: int
    win_length: int
    ranked_draws: bool
    placement_rewards: tuple[float, ...]
    max_plies: int
    view_size: int
    thumbnail: bool


class GameSettings(_Section):
    """The rules that are played."""

    name: str = Field(
        "hex",
        max_length=100,
        description="the game: Hex, n in a row (inarow), or one of your own, an importable class",
    )
    board_size: int = Field(
        11, ge=MIN_INAROW_SIZE, le=MAX_INAROW_SIZE, description="cells along a side; Hex: 27 at the most"
    )
    swap: bool = Field(False, description="the second player may take over the first stone's colour; Hex only")
    players: int = Field(2, ge=2, le=3, description="players, who move in turn; 3: inarow only")
    win_length: int | None = Field(
        None, ge=2, le=MAX_INAROW_SIZE, description="stones in a row that win; unset: min(5, board_size); inarow only"
    )
    draws: Literal["ranked", "shared"] | None = Field(
        None,
        description="at a draw places go by the longest chains, or all have 0; unset: ranked for 3 players, shared for "
        "2; inarow only",
    )
    placement_rewards: tuple[float, ...] | None = Field(
        None,
        description="values of first, second and third place; unset: 1, -0.2, -1; inarow with 3 players only",
    )
    move_cap: int = Field(0, ge=0, description="plies after which a game is a draw; 0 means none; inarow only")
    view_size: int | None = Field(
        None,
        ge=3,
        le=MAX_VIEW_SIZE,
        description="cells along a side of the view whose cells are the actions: odd, or board_size; unset: the board, "
        "21 at the most; inarow only",
    )
    thumbnail: bool | None = Field(
        None,
        description="the net sees a small picture of the whole board too; unset: where the board is larger than the "
        "view; inarow only",
    )

    @model_validator(mode="after")
    def _possible(self) -> GameSettings:
        if self.name == "hex":
            self._check_hex()
        elif self.name == "inarow":
            self._check_inarow()
        elif self.own_class is None:
            raise ValueError(
                f"there is no game {self.name!r}: game.name is hex, inarow, or package.module:Class for one of your own"
            )
        return self

    def _check_hex(self) -> None:
        if self.board_size > MAX_HEX_SIZE:
            raise ValueError(
                f"game.board_size: Hex boards have {MIN_HEX_SIZE} to {MAX_HEX_SIZE} cells a side "
                f"(got {self.board_size})"
            )
        for name in self._rules_beside("swap"):
            raise ValueError(f"game.{name} is for game.name=inarow: Hex knows no such rule, leave it unset")

    def _check_inarow(self) -> None:
        n = self.board_size
        if self.swap:
            raise ValueError("game.swap is for game.name=hex: n in a row has no swap, turn it off")
        if self.win_length is not None and self.win_length > n:
            raise ValueError(f"game.win_length is {self.win_length}, more than the {n} cells along a side: lower it")
        if self.view_size is not None and self.view_size != n:
            if self.view_size % 2 == 0:
                raise ValueError(f"game.view_size must be odd, or the board's own size {n} (got {self.view_size})")
            if self.view_size > n and n % 2 == 0:
                raise ValueError(
                    f"game.view_size {self.view_size} is larger than the board of {n}, which then cannot be in its "
                    f"middle: take an odd game.board_size, or {n}"
                )
        rewards = self.placement_rewards
        if rewards is None:
            return
        if self.players != 3:
            raise ValueError("game.placement_rewards is for game.players=3: two play for 1 and -1, leave it unset")
        if len(rewards) != 3 or sorted(rewards, reverse=True) != [*rewards] or rewards[0] == rewards[2]:
            raise ValueError(f"game.placement_rewards must be three falling numbers (got {[*rewards]})")
        if rewards[0] > 1 or rewards[2] < -1:
            raise ValueError(f"game.placement_rewards must be from -1 to 1 (got {[*rewards]})")

    @property
    def own_class(self) -> tuple[str, str] | None:
        """Module and class of a game of one's own, named package.module:Class; None of a name of another form."""
        module, colon, name = self.name.partition(":")
        return (module, name) if colon and all(map(str.isidentifier, [*module.split("."), name])) else None

    def refuse_rules_beside(self, *known: str) -> None:
        """SettingsError where a rule is set that is none of ``known``, name and board_size: for games of one's own."""
        for name in self._rules_beside(*known):
            raise SettingsError(f"{self.name} knows no rule game.{name}: leave it unset")

    def _rules_beside(self, *known: str) -> list[str]:
        """Names of the rules that are set, but for ``known``, name and board_size."""
        fields = type(self).model_fields.items()
        others = ((name, field) for name, field in fields if name not in ("name", "board_size", *known))
        return [name for name, field in others if getattr(self, name) != field.default]

    @property
    def title(self) -> str:
        """The game in a few words: "Hex 11x11 with swap"."""
        n = self.board_size
        if self.name == "hex":
            return f"Hex {n}x{n}{' with swap' if self.swap else ''}"
        if self.own_class is not None:
            return f"{self.name} {n}x{n}"
        return f"{self.inarow_rules().win_length} in a row {n}x{n}, {self.players} players"

    @property
    def row_length(self) -> int:
        """Stones in a row that win; 0 in games that know no such thing."""
        return self.inarow_rules().win_length if self.name == "inarow" else 0

    def inarow_rules(self) -> InARowRules:
        """The rules of n in a row, every unset one replaced by what it stands for."""
        n, three = self.board_size, self.players == 3
        view_size = min(n, DEFAULT_VIEW_SIZE) if self.view_size is None else self.view_size
        return InARowRules(
            board_size=n,
            players=self.players,
            win_length=min(n, DEFAULT_WIN_LENGTH) if self.win_length is None else self.win_length,
            ranked_draws=three if self.draws is None else self.draws == "ranked",
            placement_rewards=self.placement_rewards or ((1.0, -0.2, -1.0) if three else (1.0, -1.0)),
            max_plies=min(n * n, self.move_cap or n * n),
            view_size=view_size,
            thumbnail=n > view_size if self.thumbnail is None else self.thumbnail,
        )


class NetSettings(_Section):
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
    engram_neighbours: int = Field(8, ge=1, le=256, description="entries that a position is compared with")

    @model_validator(mode="after")
    def _engram_large_enough(self) -> NetSettings:
        if 0 < self.engram < self.engram_neighbours:
            raise ValueError(
                f"net.engram of {self.engram} entries cannot give net.engram_neighbours={self.engram_neighbours}: "
                "raise the one or lower the other"
            )
        return self

    @model_validator(mode="after")
    def _fitting_heads(self) -> NetSettings:
        if self.backbone == "resnet":
            return self
        if self.channels % (8 * self.heads):  # a quarter of a head turns by row, a quarter by column, in pairs
            raise ValueError(
                f"a transformer of {self.heads} heads wants channels in multiples of {8 * self.heads}, "
                f"not {self.channels}: change net.channels or net.heads"
            )
        if self.latent_rank > self.channels:
            raise ValueError(f"net.kv_latent {self.kv_latent} is above net.channels {self.channels}: lower it")
        return self

    @property
    def latent_rank(self) -> int:
        """``kv_latent``, or its default: half the channels."""
        return self.channels // 2 if self.kv_latent is None else self.kv_latent


class SearchSettings(_Section):
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
    reuse_tree: bool = Field(True, description="keep the chosen move's subtree for the next search")
    early_stop: bool = Field(True, description="stop when no other move can catch up with the most visited")

    @model_validator(mode="after")
    def _possible_phases(self) -> SearchSettings:
        phases, plies = self.phase_simulations, self.phase_plies
        if phases is not None and (len(phases) != 3 or not all(2 <= n <= self.num_simulations for n in phases)):
            raise ValueError(
                f"search.phase_simulations must be three numbers from 2 to search.num_simulations="
                f"{self.num_simulations} (got {[*phases]})"
            )
        if len(plies) != 2 or not 0 <= plies[0] <= plies[1]:
            raise ValueError(f"search.phase_plies must be two rising plies (got {[*plies]})")
        return self


class SelfplaySettings(_Section):
    """Generators and how they choose moves."""

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
        0.75, ge=0, le=1, description="share of moves whose view goes where the net looks, not to the last stone"
    )
    opening_random_plies: int = Field(
        0, ge=0, description="a game starts with 0 to this many uniformly random plies, which are not learned from"
    )
    max_game_plies: int = Field(5000, ge=1, description="step cap of a game")
    cache_entries: int = Field(16384, ge=0, le=16_777_216, description="positions in a generator's evaluation cache")
    game_queue: int = Field(
        8, ge=2, le=1024, description="finished games a generator may have under way (backpressure)"
    )


class InferenceSettings(_Section):
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


class ReplaySettings(_Section):
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


class ReanalyzeSettings(_Section):
    """The process that searches old games anew with new weights."""

    ratio: float = Field(
        0.0, ge=0, le=100, description="positions searched anew for each new position; 0: there is no such process"
    )
    games: int = Field(8, ge=1, le=1024, description="old games searched at once")


class LeagueSettings(_Section):
    """Past checkpoints of the run as opponents in self-play."""

    share: float = Field(
        0.0, ge=0, le=1, description="share of games in which a past checkpoint plays one seat or more; 0: none"
    )
    minutes: float = Field(5.0, gt=0, description="time between two opponents")


class RatingSettings(_Section):
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


class ClusterSettings(_Section):
    """Other machines that play for the run, through Ray."""

    address: str | None = Field(
        None,
        pattern=r"^(local|[A-Za-z0-9._-]+:[0-9]{1,5})$",
        description="Ray cluster whose nodes play for this run: host:port of its head, or local for one of this "
        "machine alone; unset: this machine plays, without Ray",
    )
    max_nodes: int = Field(16, ge=1, le=256, description="nodes that play at once, at most")


class CurriculumSettings(_Section):
    """Boards that grow inside one run (n in a row)."""

    stages: tuple[tuple[int, int], ...] = Field(
        (), description="board size and win length of each stage, [[15,5],[30,6],[50,7],[100,8]]; empty: no curriculum"
    )
    stage_games: int = Field(500, ge=1, description="games after which a stage may be mastered")
    mastery: float = Field(
        0.6,
        ge=0,
        le=1,
        description="share of its last 100 games against the league that the newest net must win to master a stage; "
        "without a league a stage ends with its games",
    )


class LearnerSettings(_Section):
    """Training."""

    batch_size: int = Field(256, ge=1, le=10_000, description="positions in a training step")
    learning_rate: float = Field(2e-3, gt=0, le=1, description="peak learning rate of AdamW")
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
        """Learner processes, which train together on shares of each batch."""
        return max(1, len(named_devices(self.devices)))


class LimitSettings(_Section):
    """When a run ends; 0 means no such limit (a stall always ends it)."""

    minutes: float = Field(0.0, ge=0, description="wall-clock minutes")
    steps: int = Field(0, ge=0, description="training steps in all")
    games: int = Field(0, ge=0, description="finished games in all")
    stall_seconds: float = Field(
        300.0, ge=10, description="seconds without any progress after which a run ends, and says why"
    )


class TrackingSettings(_Section):
    """Where a run's figures go beside its metrics.jsonl."""

    tensorboard: bool = Field(True, description="write TensorBoard's event files into the run folder")
    wandb: str | None = Field(
        None, min_length=1, description="project, or entity/project, of Weights & Biases; unset: none"
    )
    mlflow: str | None = Field(
        None, min_length=1, description="tracking URI of MLflow, where the experiment is hexpipe; unset: none"
    )


class Settings(_Section):
    """Everything a run needs to know."""

    preset: str = Field("quick", description="the preset these settings started from")
    seed: int = Field(0, ge=0, lt=2**32, description="seed of every random generator")
    devices: int | None = Field(None, ge=0, le=64, description="GPUs that auto may use; unset: all there are")
    game: GameSettings = GameSettings()
    net: NetSettings = NetSettings()
    search: SearchSettings = SearchSettings()
    selfplay: SelfplaySettings = SelfplaySettings()
    inference: InferenceSettings = InferenceSettings()
    replay: ReplaySettings = ReplaySettings()
    reanalyze: ReanalyzeSettings = ReanalyzeSettings()
    league: LeagueSettings = LeagueSettings()
    rating: RatingSettings = RatingSettings()
    cluster: ClusterSettings = ClusterSettings()
    curriculum: CurriculumSettings = CurriculumSettings()
    learner: LearnerSettings = LearnerSettings()
    limits: LimitSettings = LimitSettings()
    tracking: TrackingSettings = TrackingSettings()

    @property
    def plays(self) -> bool:
        """Whether there is self-play; else the learner has the games that the archive holds, and as many steps of
        them as it is given."""
        return self.selfplay.workers != 0

    @property
    def algorithm(self) -> Literal["alphazero", "muzero"]:
        """What stands behind the search: the true rules, or learned dynamics."""
        return "muzero" if self.net.dynamics_blocks else "alphazero"

    @property
    def stages(self) -> tuple[GameSettings, ...]:
        """The games of the curriculum, the first of them first; without a curriculum the game alone.

        The last one is `game`. All have its view and thumbnail, so that they are one game to a net.
        """
        if not self.curriculum.stages:
            return (self.game,)
        tree = self.game.model_dump()
        return tuple(
            GameSettings.model_validate({**tree, "board_size": size, "win_length": length})
            for size, length in self.curriculum.stages
        )

    @model_validator(mode="after")
    def _consistent(self) -> Settings:
        if self.curriculum.stages:
            self._check_stages()
            if self.reanalyze.ratio:  # a search of old games knows one board
                raise ValueError(
                    "reanalyze.ratio and curriculum.stages cannot be used together yet: set one of them off"
                )
        if not self.plays and (self.reanalyze.ratio or self.league.share):
            raise ValueError(
                "with selfplay.workers=0 nothing is played: reanalyze.ratio and league.share must be 0, turn them off"
            )
        if self.cluster.address and (not self.plays or self.reanalyze.ratio or self.league.share):
            raise ValueError(
                "with cluster.address (--ray) the nodes only play the newest net: selfplay.workers must not be 0, and "
                "reanalyze.ratio and league.share must be"
            )
        if self.replay.min_games > self.replay.max_games:
            raise ValueError("replay.min_games is above replay.max_games: lower the one or raise the other")
        chosen = self.inference.backend in ("auto", "eager") and self.inference.dtype == "auto"
        if self.algorithm == "muzero" and not chosen:
            raise ValueError(
                "learned dynamics have backends of their own: set inference.backend to auto or eager, and "
                "inference.dtype to auto"
            )
        self._check_devices()
        return self

    def _check_devices(self) -> None:
        """What can be said of the named devices on any machine; `pipeline.devices` knows this one's."""
        for name, text in (("inference.devices", self.inference.devices), ("learner.devices", self.learner.devices)):
            if not _DEVICES.fullmatch(text):
                raise ValueError(f"{name} is {text!r}: give auto, or devices like cuda:0,cuda:1 or cpu,cpu")
        if self.inference.devices != AUTO and self.inference.servers is not None:
            raise ValueError(
                "inference.servers counts the servers of inference.devices=auto, a list has one an entry: "
                "set inference.servers to none, or inference.devices to auto"
            )
        learners = named_devices(self.learner.devices)
        gpus = [device for device in learners if device != "cpu"]
        if gpus and (len(gpus) < len(learners) or len(set(gpus)) < len(gpus)):
            raise ValueError(
                f"learner.devices is {self.learner.devices}: learners that train together have a GPU each, or are all "
                "on the CPU"
            )
        if self.learner.batch_size % self.learner.ranks:
            raise ValueError(
                f"learner.batch_size must be a multiple of the {len(learners)} devices of learner.devices: "
                "change either"
            )

    def _check_stages(self) -> None:
        if self.game.name != "inarow":
            raise ValueError("curriculum.stages are for game.name=inarow: leave them empty")
        for before, after in pairwise(self.curriculum.stages):
            if after[0] < before[0]:
                raise ValueError(
                    f"curriculum.stages must have growing boards (got {after[0]} after {before[0]}): reorder them"
                )
        last, game = self.curriculum.stages[-1], self.game
        if (game.board_size, game.win_length) != last or game.view_size is None or not game.thumbnail:
            raise ValueError("with curriculum.stages the game is that of the last stage, with a view and a thumbnail")
        try:
            _ = self.stages
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ")
            raise ValueError(f"curriculum.stages have a stage that cannot be: {message}") from error


PRESETS: dict[str, dict[str, Any]] = {
    "quick": {
        "game": {"board_size": 5},
        "net": {"blocks": 4, "channels": 32, "value_hidden": 32},
        "search": {"root": "gumbel", "num_simulations": 32, "gumbel_c_scale": 0.2},
        "selfplay": {"opening_random_plies": 3},
        "replay": {"max_games": 4000},
        "learner": {"replay_ratio": 6.0, "checkpoint_minutes": 1.0},
        "limits": {"minutes": 10.0},
    },
    "small": {
        "game": {"board_size": 7},
        "net": {"blocks": 5, "channels": 48, "value_hidden": 48},
        "search": {"num_simulations": 100},
        "selfplay": {"temperature_plies": 12},
    },
    "standard": {
        "game": {"board_size": 11},
        "net": {"blocks": 6, "channels": 64},
        "search": {"num_simulations": 200},
        "selfplay": {"temperature_plies": 16},
        "replay": {"max_memory_gb": 4.0},
    },
    "large": {
        "game": {"board_size": 13},
        "net": {"blocks": 12, "channels": 128, "value_hidden": 128},
        "search": {"num_simulations": 400, "leaves_per_game": 8},
        "selfplay": {"games_per_worker": 128, "temperature_plies": 20},
        "inference": {"max_batch": 1024},
        "replay": {"max_memory_gb": 16.0, "max_games": 1_000_000},
        "learner": {"batch_size": 1024},
    },
}


ALGORITHMS: dict[str, dict[str, Any]] = {
    "alphazero": {"net.dynamics_blocks": 0},
    "muzero": {"net.dynamics_blocks": 2, "replay.td_steps": 5},
}
"""What choosing an algorithm sets beside the preset."""

ENGRAM_ENTRIES = 4096
"""``net.engram`` of the option --engram."""

QUICK_MUZERO = {
    "net.blocks": 2,
    "net.dynamics_blocks": 1,
    "search.gumbel_c_scale": 1.0,
    "replay.td_steps": 2,
    "learner.batch_size": 128,
    "learner.replay_ratio": 8.0,
}
"""What muzero sets in the preset quick, where an unrolled step has to be cheap."""


def load_settings(preset: str = "quick", overrides: Mapping[str, Any] | None = None) -> Settings:
    """The settings of ``preset`` with dotted ``overrides`` applied.

    Raises SettingsError, in one line that names the setting and its range.
    """
    if preset not in PRESETS:
        raise SettingsError(f"there is no preset {preset!r}; take one of: {', '.join(PRESETS)}")
    tree: dict[str, Any] = {"preset": preset}
    for section, values in PRESETS[preset].items():
        tree[section] = dict(values)
    for name, value in _with_algorithm(overrides or {}, preset).items():
        _set_dotted(tree, name, value)
    return _validated(tree)


def override_settings(settings: Settings, overrides: Mapping[str, Any]) -> Settings:
    """A copy of ``settings`` with dotted ``overrides`` applied and everything validated again."""
    tree = settings.model_dump()
    for name, value in _with_algorithm(overrides, settings.preset).items():
        _set_dotted(tree, name, value)
    return _validated(tree)


def _with_algorithm(overrides: Mapping[str, Any], preset: str) -> dict[str, Any]:
    """``overrides`` with the settings that ``algorithm`` stands for in its place; others win over them."""
    rest = dict(overrides)
    name = rest.pop("algorithm", None)
    if name is None:
        return rest
    if name not in ALGORITHMS:
        raise SettingsError(f"there is no algorithm {name!r}; take one of: {', '.join(ALGORITHMS)}")
    quick = QUICK_MUZERO if (name, preset) == ("muzero", "quick") else {}
    return {**ALGORITHMS[name], **quick, **rest}


def dump_settings(settings: Settings) -> str:
    """``settings`` as JSON text."""
    return json.dumps(settings.model_dump(), indent=2) + "\n"


def settings_from_json(text: str) -> Settings:
    """The settings that `dump_settings` wrote; SettingsError if the text is no such thing."""
    try:
        tree = parse_document(text)
    except ValueError as error:
        raise SettingsError(f"the settings are no JSON ({error}); restore the file or start a new run") from error
    if not isinstance(tree, dict):
        raise SettingsError("the settings are no JSON object; restore the file or start a new run")
    if isinstance(tree.get("learner"), dict):
        tree["learner"].pop("processes", None)  # of files from before learner.devices, whose length it is
    return _validated(tree)


def changed_settings(old: Settings, new: Settings) -> dict[str, tuple[Any, Any]]:
    """Dotted names whose values differ, with (old, new)."""
    before, after = flatten(old), flatten(new)
    return {name: (before[name], after[name]) for name in after if before[name] != after[name]}


def flatten(settings: Settings) -> dict[str, Any]:
    """Settings as one flat dict with dotted names."""
    flat: dict[str, Any] = {}
    for name, value in settings.model_dump().items():
        if isinstance(value, dict):
            flat.update({f"{name}.{key}": inner for key, inner in value.items()})
        else:
            flat[name] = value
    return flat


def _set_dotted(tree: dict[str, Any], name: str, value: Any) -> None:
    *sections, key = name.split(".")
    for section in sections:
        tree = tree.setdefault(section, {})
        if not isinstance(tree, dict):
            raise SettingsError(f"there is no setting {name!r}; `hexpipe run --help` lists them")
    tree[key] = value


def _settle_stages(tree: dict[str, Any]) -> None:
    """With a curriculum the game is that of its last stage, seen through a view that suits the first."""
    curriculum, game = tree.get("curriculum", {}), tree.get("game", {})
    if not isinstance(curriculum, dict) or not isinstance(game, dict):
        return
    stages = curriculum.get("stages")
    try:
        sizes = [int(size) for size, _ in stages or ()]
        win_length = int(stages[-1][1]) if stages else 0
    except (TypeError, ValueError, OverflowError, KeyError):
        return  # validation says it better
    if not stages or game.get("name") != "inarow":
        return
    view = game.get("view_size") or min(*sizes, DEFAULT_VIEW_SIZE)
    if not isinstance(view, int):
        return
    game = dict(game)
    game |= {"view_size": view - (view % 2 == 0), "thumbnail": True, "board_size": sizes[-1], "win_length": win_length}
    tree["game"] = game


def _brief(value: object) -> str:
    """What was given, in no more than a line."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


def _validated(tree: dict[str, Any]) -> Settings:
    _settle_stages(tree)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise SettingsError(f"there is no setting {_brief(name)}; `hexpipe run --help` lists them") from error
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "value_error":  # of a check over several settings, which names them itself
            raise SettingsError(message) from error
        given = f" (got {_brief(first['input'])})" if name else ""
        raise SettingsError(f"{name}: {message}{given}" if name else message) from error
