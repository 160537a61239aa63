package io.shoal.kcl;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Collectors;
import software.amazon.kinesis.common.InitialPositionInStreamExtended;
import software.amazon.kinesis.common.StreamConfig;
import software.amazon.kinesis.common.StreamIdentifier;
import software.amazon.kinesis.processor.FormerStreamsLeasesDeletionStrategy;
import software.amazon.kinesis.processor.FormerStreamsLeasesDeletionStrategy.NoLeaseDeletionStrategy;
import software.amazon.kinesis.processor.MultiStreamTracker;

/** The streams that a file lists at the time, one account:name:epoch a line. */
final class ListedStreams implements MultiStreamTracker {
    private final Path list;
    private final InitialPositionInStreamExtended start;

    ListedStreams(Path list, InitialPositionInStreamExtended start) {
        this.list = list;
        this.start = start;
    }

    @Override
    public List<StreamConfig> streamConfigList() {
        try {
            return Files.readAllLines(list).stream()
                    .map(id -> new StreamConfig(StreamIdentifier.multiStreamInstance(id), start))
                    .collect(Collectors.toList());
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    @Override
    public FormerStreamsLeasesDeletionStrategy formerStreamsLeasesDeletionStrategy() {
        return new NoLeaseDeletionStrategy();
    }
}
